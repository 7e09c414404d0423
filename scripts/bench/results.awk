# Reads what callgrind.awk says of sections, "CASE COUNT POLLS NAME VALUE" lines, and prints "CASE NAME NUMBER" lines: for one I/O, one
# poll or one qpair, whatever COUNT counts.
#
# A case whose sections differ in COUNT was run twice to have a difference: what it begins and ends with cancels out. Else its sections
# repeat each other, and the least counts: what the clock or a wait brings in only adds.

NF == 5 {
	key = $1 " " $4
	if (!($1 in first)) { order[++cases] = $1; first[$1] = $2; first_polls[$1] = $3 }
	if ($2 != first[$1]) {
		times[$1] = $2 - first[$1]
		polls[$1] = $3 - first_polls[$1]
		value[key] = $5 - least[key]
	} else if (!(key in least) || $5 < least[key]) {
		least[key] = $5
	}
	names[$4]
}

function one(name,    key) {
	key = case " " name
	if (!(key in least)) return 0
	return differs ? value[key] / times[case] : least[key] / first[case]
}
function say(name, number) { printf "%s %s %.3f\n", case, name, number }

END {
	for (number = 1; number <= cases; number++) {
		case = order[number]
		differs = case in times
		say("instructions", one("total"))
		for (name in names) if (name ~ /^self:/) say(substr(name, 6), one(name))
		say("libc", one("libc"))
		say("allocations", one("allocations"))
		if (!differs) continue
		if ((case " loads") in least) { say("loads", one("loads")); say("stores", one("stores")) }
		each = polls[case] / times[case]
		say("polls", each)
		say("sends", one("post_send"))
		say("receives", one("post_recv"))
		# Of a poll of the program; a call that is made at each submit is no longer one a poll.
		say("sends/poll", one("post_send") / each)
		say("receives/poll", one("post_recv") / each)
	}
}

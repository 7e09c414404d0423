# awk -f limits.awk limits.txt RESULTS: says which results, "CASE NAME NUMBER" lines, are above a limit, and which limits have no
# result, and ends with 1 if there is one. With -v partial=1 not everything was to be measured, and a limit may have none.

{ sub(/#.*/, "") }
NF == 0 { next }
NF != 3 || $3 !~ /^-?[0-9.]+$/ { printf "%s:%d: three words are needed, the last a number\n", FILENAME, FNR; bad = broken = 1; exit }

FILENAME == ARGV[1] {
	pattern[++count] = "^" $1 "$"
	gsub(/[+.]/, "[&]", pattern[count])
	gsub(/[*]/, ".*", pattern[count])
	written[count] = $1
	name[count] = $2
	limit[count] = $3 + 0
	next
}
{
	for (i = 1; i <= count; i++) {
		if ($2 != name[i] || $1 !~ pattern[i]) continue
		used[i] = 1
		if ($3 + 0 > limit[i]) {
			printf "%-28s %10.1f %s, at most %s\n", $1, $3, $2, limit[i]
			bad = 1
		}
	}
}

END {
	if (!broken) {
		for (i = 1; i <= count; i++) {
			if (partial || i in used) continue
			printf "%-28s was not measured: %s, at most %s\n", written[i], name[i], limit[i]
			bad = 1
		}
		if (count == 0) { print "there is no limit"; bad = 1 }
	}
	exit bad
}

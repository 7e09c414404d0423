# awk -f apply.awk differences.txt expected.txt: what a kernel's device must print, made of what softverbs prints and the list of
# differences. Ends with 1, and a line on stderr for each, when a listed difference is none or does not occur just once.
#
# An entry of the list is four kinds of lines, and an empty line behind it:
#   case: NAME...          the cases in which it occurs
#   softverbs: LINE        the lines that softverbs prints there, as they follow each other
#   rxe: LINE              the lines in their place
#   reason: WORDS          why, and who is right

function complain(text) {
	print "differences.txt: " text | "cat >&2"
	wrong = 1
}

function close_entry(    names, count, i) {
	if (!open)
		return
	if (entry_cases == "" || ours == theirs || reason == "")
		complain("the entry that ends at line " FNR " is not whole, or no difference")
	count = split(entry_cases, names, " ")
	for (i = 1; i <= count; i++) {
		entries++
		name[entries] = names[i]
		from[entries] = ours
		to[entries] = theirs
	}
	open = 0
	entry_cases = ours = theirs = reason = ""
}

# The lines of an entry, with the name of the case before each.
function lines_of(which, text,    lines, count, i, out) {
	count = split(text, lines, "\n")
	out = ""
	for (i = 1; i < count; i++)
		out = out which ": " lines[i] "\n"
	return out
}

function apply(i,    ours, at, rest) {
	ours = "\n" lines_of(name[i], from[i])
	at = index(all, ours)
	if (from[i] == "" || at == 0) {
		complain("in case " name[i] ", softverbs does not print:" ours)
		return
	}
	rest = substr(all, at + length(ours) - 1)
	if (index(rest, ours)) {
		complain("in case " name[i] ", softverbs prints more than once:" ours)
		return
	}
	all = substr(all, 1, at) lines_of(name[i], to[i]) substr(rest, 2)
}

BEGIN { all = "\n" }
FILENAME != ARGV[1] {
	all = all $0 "\n"
	next
}
/^#/ { next }
/^case: / { open = 1; entry_cases = entry_cases " " substr($0, 7); next }
/^softverbs: / { open = 1; ours = ours substr($0, 12) "\n"; next }
/^rxe: / { open = 1; theirs = theirs substr($0, 6) "\n"; next }
/^reason: / { open = 1; reason = reason substr($0, 9); next }
/^$/ { close_entry(); next }
{ complain("line " FNR " is none of the four kinds: " $0) }

END {
	close_entry()
	for (i = 1; i <= entries; i++)
		apply(i)
	printf "%s", substr(all, 2)
	if (wrong)
		exit 1
}

# Reads callgrind output files (events: Ir, and Dr and Dw with --cache-sim=yes) and prints what the host did, as "name value" lines:
#
#   self:OBJECT     instructions in the functions of each object that matches `host` (a regular expression, -v host=...)
#   libc            instructions in libc on behalf of these: inclusive cost of the calls from a host object into libc
#   total           the sum of all above
#   loads, stores   data reads and writes, of the same functions and calls
#   allocations     calls from a host object into the allocator
#   post_send, post_recv, poll_cq   calls from a host object into the provider
#   function COST NAME, file COST PATH   the host's own instructions, by function and by source file; with -v profile=1
#
# With -v sections=FILE the files are the sections that a benchmark printed to FILE as "section NAME COUNT POLLS" lines, in that order
# (c-tests/lib/load.h), and each line is preceded by these three. Sections named "-" are what lies between them.
#
# The format: cost lines follow the fn= they belong to, "calls=" lines are followed by one line with the inclusive
# cost of the callee. Zeros at a line's end are left out. Names are compressed: "(7) name" the first time, "(7)" afterwards; ob and
# cob share one table, fn and cfn another.

# "(7) name" or "(7)" or "name", in the table `kind`.
function name_of(kind, text,    id, rest) {
	if (text !~ /^\(/) return text
	id = text
	sub(/\).*/, ")", id)
	rest = substr(text, length(id) + 2)
	if (rest != "") names[kind, id] = rest
	return names[kind, id]
}

function is_host(object) {
	if (!(object in hosts)) hosts[object] = object ~ host
	return hosts[object]
}
function is_allocator(name) {
	return name ~ /^(__libc_)?(malloc|calloc|realloc|memalign|aligned_alloc|posix_memalign|mmap|mmap64)$/
}
function is_libc(object) { return object ~ /\/(libc|libm|ld-linux[^\/]*|libc-[^\/]*|libm-[^\/]*)\.so/ }

function report(    object, short, total, prefix, name) {
	if (sections != "") {
		prefix = section[++part]
		if (prefix == "") { print "callgrind.awk: more files than sections" | "cat >&2"; exit 1 }
		if (prefix ~ /^- /) return
		prefix = prefix " "
	}
	for (object in self) {
		short = object
		sub(/.*\//, "", short)
		printf "%sself:%s %.0f\n", prefix, short, self[object]
		total += self[object]
	}
	printf "%slibc %.0f\n", prefix, libc
	printf "%stotal %.0f\n", prefix, total + libc
	if (reads) printf "%sloads %.0f\n%sstores %.0f\n", prefix, loads, prefix, stores
	printf "%sallocations %.0f\n", prefix, allocations
	for (name in provider) printf "%s%s %.0f\n", prefix, name, provider[name]
	if (profile) {
		for (name in functions) printf "%sfunction %.0f %s\n", prefix, functions[name], name
		for (name in files) printf "%sfile %.0f %s\n", prefix, files[name], name
	}
}

function reset() {
	split("", names); split("", self); split("", functions); split("", files)
	libc = loads = stores = allocations = 0
	provider["post_send"] = provider["post_recv"] = provider["poll_cq"] = 0
	object = file = caller = callee = callee_object = ""
}

BEGIN {
	if (sections != "") while ((getline line <sections) > 0) if (sub(/^section /, "", line)) section[++known] = line
	reset()
}

FNR == 1 && NR > 1 { report(); reset() }

/^events:/ {
	reads = writes = 0
	for (i = 2; i <= NF; i++) {
		if ($i == "Ir") instructions = i
		if ($i == "Dr") reads = i
		if ($i == "Dw") writes = i
	}
	next
}
/^ob=/  { object = name_of("ob", substr($0, 4)); inside = is_host(object); next }
/^f[lie]=/ { file = name_of("fl", substr($0, 4)); next }
/^cf[il]=/ { name_of("fl", substr($0, 5)); next }
/^fn=/  { callee_object = ""; caller = name_of("fn", substr($0, 4)); next }
/^cob=/ { callee_object = name_of("ob", substr($0, 5)); next }
/^cfn=/ { callee = name_of("fn", substr($0, 5)); sub(/'[0-9]+$/, "", callee); next }
/^calls=/ {
	if (!inside) { getline; callee_object = ""; next }
	split(substr($0, 7), call, " ")
	# Without a cob= the callee lives in the caller's object.
	target = callee_object == "" ? object : callee_object
	callee_object = ""
	if (getline <= 0 || is_host(target)) next
	if (is_allocator(callee)) allocations += call[1]
	if (is_libc(target)) {
		libc += $instructions
		if (reads) { loads += $reads; stores += $writes }
	} else {
		short = callee
		sub(/.*::/, "", short)
		sub(/^ibv_/, "", short)
		if (short in provider) provider[short] += call[1]
	}
	next
}
inside && /^[0-9+*-]/ {
	self[object] += $instructions
	if (reads) { loads += $reads; stores += $writes }
	functions[caller] += $instructions
	files[file] += $instructions
}

END { if (NR) report() }

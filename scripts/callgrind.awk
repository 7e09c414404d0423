# Reads one callgrind output file (events: Ir) and prints what the host did, as "name value" lines:
#
#   self OBJECT     instructions in the functions of each object that matches `host` (a regular expression, -v host=...)
#   libc            instructions in libc on behalf of these: inclusive cost of the calls from a host object into libc
#   total           the sum of all above
#   allocations     calls from a host object into the allocator
#   function COST NAME, file COST PATH   the host's own instructions, by function and by source file; with -v profile=1
#
# The format: cost lines follow the fn= they belong to, "calls=" lines are followed by one line with the inclusive
# cost of the callee. Names are compressed: "(7) name" the first time, "(7)" afterwards; ob and cob share one table,
# fn and cfn another.

# "(7) name" or "(7)" or "name", in the table `kind`.
function name_of(kind, text,    id, rest) {
	if (text !~ /^\(/) return text
	id = text
	sub(/\).*/, ")", id)
	rest = substr(text, length(id) + 2)
	if (rest != "") names[kind, id] = rest
	return names[kind, id]
}

function is_host(object) { return object ~ host }
function is_allocator(name) {
	return name ~ /^(__libc_)?(malloc|calloc|realloc|memalign|aligned_alloc|posix_memalign|mmap|mmap64)$/
}
function is_libc(object) { return object ~ /\/(libc|libm|ld-linux[^\/]*|libc-[^\/]*|libm-[^\/]*)\.so/ }

/^ob=/  { object = name_of("ob", substr($0, 4)); next }
/^f[lie]=/ { file = name_of("fl", substr($0, 4)); next }
/^cf[il]=/ { name_of("fl", substr($0, 5)); next }
/^fn=/  { callee_object = ""; caller = name_of("fn", substr($0, 4)); next }
/^cob=/ { callee_object = name_of("ob", substr($0, 5)); next }
/^cfn=/ { callee = name_of("fn", substr($0, 5)); sub(/'[0-9]+$/, "", callee); next }
/^calls=/ {
	split(substr($0, 7), call, " ")
	# Without a cob= the callee lives in the caller's object.
	target = callee_object == "" ? object : callee_object
	if (is_host(object) && !is_host(target) && is_allocator(callee)) allocations += call[1]
	if (getline > 0 && is_host(object) && is_libc(target)) libc += $2
	callee_object = ""
	next
}
/^[0-9+*-]/ && NF == 2 {
	if (is_host(object)) {
		self[object] += $2
		functions[caller] += $2
		files[file] += $2
	}
}

END {
	for (object in self) {
		short = object
		sub(/.*\//, "", short)
		printf "self:%s %.0f\n", short, self[object]
		total += self[object]
	}
	printf "libc %.0f\n", libc
	printf "total %.0f\n", total + libc
	printf "allocations %.0f\n", allocations
	if (profile) {
		for (name in functions) printf "function %.0f %s\n", functions[name], name
		for (name in files) printf "file %.0f %s\n", files[name], name
	}
}

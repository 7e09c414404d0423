# Prints results, "CASE NAME NUMBER" lines, as Markdown tables. What was not measured is "-"; a row or table of nothing else is left out.

{ result[$1, $2] = $3; seen[$1] }

# 1,234 or, with decimals, 0.03.
function shown(case, name, decimals,    text, at) {
	if (!((case, name) in result)) return "-"
	any = 1
	text = sprintf("%." decimals "f", result[case, name])
	at = index(text, ".")
	at = at ? at - 3 : length(text) - 2
	for (; at > 1; at -= 3) text = substr(text, 1, at - 1) "," substr(text, at)
	return text
}
function cell(case, kind) {
	if (kind == "loads") return shown(case, "loads", 0) " / " shown(case, "stores", 0)
	if (kind == "doorbells") return shown(case, "sends", 2) " / " shown(case, "receives", 2)
	if (kind == "cycles") {
		if (!(("read/32/plain", "cycles") in result && (case, "cycles") in result)) return shown(case, "cycles", 0)
		any = 1
		return sprintf("%.2f", result[case, "cycles"] / result["read/32/plain", "cycles"])
	}
	return shown(case, kind, 0)
}
function row(text) {
	if (any) rows = rows text "\n"
	any = 0
}
function table(title, head,    columns, rule) {
	if (rows != "") {
		columns = gsub(/\|/, "|", head) - 2
		rule = "|---|"
		while (columns-- > 0) rule = rule "---:|"
		printf "%s\n\n%s\n%s\n%s\n", title, head, rule, rows
	}
	rows = ""
}

function ios(kind, title,    k, d, m, text) {
	for (k = 1; k in kinds; k++) {
		for (d = 1; d <= 3; d++) {
			text = "| " called[k] " | " depths[d] " |"
			for (m = 1; m <= 4; m++) text = text " " cell(kinds[k] "/" depths[d] "/" modes[m], kind) " |"
			row(text)
		}
	}
	table(title, "| | queue depth | plain | delay | group | group, delay |")
}

function each_outstanding(case, how,    none, most) {
	none = case "/" how "/0"
	most = case "/" how "/127"
	if (!((none, "instructions") in result)) return "-"
	return sprintf("%.0f", (result[most, "instructions"] - result[none, "instructions"]) / 127)
}

END {
	split("read write keyed waiting readv tagged taggedv split", kinds)
	split("read|write, in the capsule|write, by key (8 KiB)|read, half of them wait|read, in two pieces|read, with tags|read, with tags, in two pieces|read of 64 KiB, in eight commands", called, "|")
	split("1 32 128", depths)
	split("plain delay group group+delay", modes)
	ios("instructions", "Instructions of the host for one I/O of 4 KiB:")
	ios("loads", "Its loads / stores:")
	ios("doorbells", "Its doorbells, for SENDs / for receives:")
	ios("allocations", "Its allocations:")
	# The host's share cannot be cut out of these, so they are for comparing alone.
	text = "Cycles of host, softverbs and target together"
	if (("read/32/plain", "cycles") in result)
		text = text ", as a multiple of the " shown("read/32/plain", "cycles", 0) " of a read at queue depth 32, plain"
	any = 0
	ios("cycles", text ":")

	split("qpair group-1 group-64 group-1000", kinds)
	split("a qpair|a group of 1|a group of 64, 1 active|a group of 1,000, 1 active", called, "|")
	for (k = 1; k <= 4; k++) {
		text = "| " called[k] " |"
		text = text " " shown("poll/" kinds[k] "/idle", "instructions", 0) " |"
		text = text " " shown("poll/" kinds[k] "/outstanding", "instructions", 0) " |"
		text = text " " shown("poll/" kinds[k] "/read/1", "instructions", 0) " |"
		text = text " " shown("poll/" kinds[k] "/read/32", "instructions", 0) " |"
		row(text)
	}
	table("Instructions of an empty poll, and of a read:",
		"| | nothing outstanding | a read outstanding | a read at depth 1 | a read at depth 32 |")

	split("alone many grouped grouped-many", kinds)
	split("alone|beside a group of 1,000|in a group with another|in a group with 1,000", called, "|")
	for (k = 1; k <= 4; k++) {
		case = "life/" kinds[k]
		text = "| " called[k] " |"
		text = text " " shown(case "/allocate", "instructions", 0) " |"
		text = text " " shown(case "/connect", "instructions", 0) " |"
		text = text " " shown(case "/disconnect", "instructions", 0) " |"
		text = text " " shown(case "/free", "instructions", 0) " |"
		text = text " " shown(case "/disconnect+free/0", "instructions", 0) " |"
		text = text " " shown(case "/end/0", "instructions", 0) " |"
		text = text " " shown(case "/end/127", "instructions", 0) " |"
		row(text " " each_outstanding(case, "end") " |")
	}
	table("Instructions of a qpair's life:",
		"| | allocate | connect | disconnect | free then | both at once | free while connected | with 127 outstanding | each of these |")

	text = "| |"
	for (k = 8; k <= 128; k *= 4) text = text " " shown("reset/" k, "instructions", 0) " |"
	row(text)
	table("Instructions of a controller's reset, for each of its qpairs, which are connected again:",
		"| | 8 qpairs | 32 qpairs | 128 qpairs |")

	split("alone group", kinds)
	split("alone|in a group", called, "|")
	for (k = 1; k <= 2; k++) {
		case = "bytes/" kinds[k]
		text = "| " called[k] " |"
		text = text " " shown(case, "allocated", 0) " | " shown(case, "connected", 0) " |"
		row(text " " shown(case, "calls", 0) " | " shown(case, "kept", 0) " |")
	}
	table("Bytes of a qpair with a queue of 128 entries and 256 requests, our own:",
		"| | allocated | connected | calls of malloc and mmap | left after its end |")

	text = "| |"
	row(text " " shown("bytes/namespaces", "connected", 0) " | " shown("bytes/namespaces", "kept", 0) " |")
	table("Bytes of a controller with 1,000 namespaces at which nobody has looked, our own:", "| | attached | left after its end |")
}

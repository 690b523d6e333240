# report.awk: rows.txt and results.tsv -> Markdown.
#
# A load's figure is the median of its rounds.  A ratio is taken within each
# round and the median of those shown, with the least and the most.  Rounds
# in which others took more than max_others per cent of the machine count only
# where there is no other.

function median(values, n,    i, j, swap)
{
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && values[j - 1] > values[j]; j--)
		{
			swap = values[j]
			values[j] = values[j - 1]
			values[j - 1] = swap
		}
	return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
}

# Did others leave the machine to this load?  Values are no loads.
function is_quiet(id, r)
{
	return !((id, r, "others") in load) || load[id, r, "others"] <= max_others
}

# Median over the rounds of a column of a load.
function figure(id, column,    r, n, values)
{
	for (r = 1; r <= rounds; r++)
		if ((id, r, column) in load && is_quiet(id, r))
			values[++n] = load[id, r, column]
	for (r = 1; n == 0 && r <= rounds; r++)
		if ((id, r, column) in load)
			values[++n] = load[id, r, column]
	return n ? median(values, n) : 0
}

function number(x)
{
	if (x >= 1000)
		return sprintf("%.0f", x)
	return x >= 20 ? sprintf("%.1f", x) : sprintf("%.2f", x)
}

# Column of the other load in the same round; what was measured once is
# compared with the median of the other's rounds.
function of_base(id, base, r, column,    k, n)
{
	for (k = 1; k <= rounds; k++)
		n += (id, k, "rate") in load
	if (n == 1)
		return figure(base, column)
	return (base, r, column) in load ? load[base, r, column] : 0
}

# The row's figure in one round, or "" if there is none.
function answer(measure, id, base, r,    column)
{
	if (measure == "value")
		return (id, r) in value ? value[id, r] : ""
	if (!((id, r, "rate") in load))
		return ""
	if (measure == "percore")
		return 1e6 / load[id, r, "server"]
	column = measure == "cpu" ? "server" : measure == "p99" ? "p99" : "rate"
	if (of_base(id, base, r, column) == 0)
		return ""
	if (measure == "slower")
		return of_base(id, base, r, column) / load[id, r, column]
	return load[id, r, column] / of_base(id, base, r, column)
}

function target(op, limit)
{
	return op == ">=" ? "≥ " limit : op == "<=" ? "≤ " limit : ""
}

# The row's figures in all rounds, or in the quiet ones only; how many.
function answers(measure, id, base, only_quiet, all,    r, n, x)
{
	for (r = 1; r <= rounds; r++)
		if ((!only_quiet || is_quiet(id, r) && is_quiet(base, r)) &&
			(x = answer(measure, id, base, r)) != "")
			all[++n] = x
	return n
}

function print_row(text, measure, id, base, op, limit,    n, x, all, shown, met)
{
	n = answers(measure, id, base, 1, all)
	if (n == 0)
		n = answers(measure, id, base, 0, all)
	if (n == 0)
	{
		printf "| %s | not measured | %s | |\n", text, target(op, limit)
		return
	}
	x = median(all, n)
	shown = number(x)
	if (n > 1)
		shown = shown " (" number(all[1]) "–" number(all[n]) ")"
	if (op != "")
		met = (op == ">=" ? x >= limit : x <= limit) ? "yes" : "**no**"
	printf "| %s | %s | %s | %s |\n", text, shown,
		target(op, limit), met
}

BEGIN { FS = "|" }

FNR == NR {
	if ($0 !~ /^#/)
		rows[++n_rows] = $0
	next
}

{
	split($0, f, "\t")
	if (f[3] > rounds)
		rounds = f[3]
	if (f[1] == "value")
		value[f[2], f[3]] = f[4]
	if (f[1] != "load")
		next
	if (!(f[2] in seen))
		loads[++n_loads] = f[2]
	seen[f[2]] = 1
	load[f[2], f[3], "rate"] = f[4]
	load[f[2], f[3], "p50"] = f[5]
	load[f[2], f[3], "p99"] = f[6]
	load[f[2], f[3], "server"] = f[7]
	load[f[2], f[3], "store"] = f[8]
	load[f[2], f[3], "client"] = f[9]
	load[f[2], f[3], "others"] = f[10]
}

END {
	print "| what | measured | target | met |"
	print "| --- | --- | --- | --- |"
	for (i = 1; i <= n_rows; i++)
	{
		split(rows[i], f, "|")
		print_row(f[1], f[2], f[3], f[4], f[5], f[6])
	}
	print ""
	print "| load | ops/s | p50 µs | p99 µs | server CPU µs/op | of it the store | ops/s per server core | client CPU µs/op | CPU of others % |"
	print "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
	for (i = 1; i <= n_loads; i++)
	{
		id = loads[i]
		printf "| %s | %.0f | %.0f | %.0f | %s | %s | %.0f | %s | %.0f |\n", id,
			figure(id, "rate"), figure(id, "p50"), figure(id, "p99"),
			number(figure(id, "server")), number(figure(id, "store")),
			1e6 / figure(id, "server"), number(figure(id, "client")),
			figure(id, "others")
	}
}

# judge.awk: samples.tsv of the soak -> what drifted, and an exit status.
#
# -v n=intervals -v from= -v to= (the intervals in which a snapshot was held)
# -v interval_s=.
# The first quarter, less a warm-up of two intervals, is compared with the last:
# in neither a snapshot is held.

function mean(what, name, first, last,    i, sum, count)
{
	for (i = first; i <= last; i++)
		if ((what, name, i) in sample)
		{
			sum += sample[what, name, i]
			count++
		}
	return count ? sum / count : 0
}

function verdict(text, value, limit, good)
{
	printf "%-60s %6.2f (limit %s)%s\n", text, value, limit, good ? "" : "  NOT OK"
	if (!good)
		failed = 1
}

BEGIN { FS = "\t" }

{
	sample[$2, $3, $1] = $4
	if ($2 == "memory")
		workers[$3] = 1
}

END {
	quarter = int(n / 4)
	if (quarter + 1 > from)
		quarter = from - 1
	begin = n - quarter + 1
	if (begin <= to)
		begin = to + 1

	busy = mean("cpu", "busy", 1, n)
	rate = mean("rate", "all", begin, n) / mean("rate", "all", 3, quarter)
	cpu = mean("cpu", "server", begin, n) / mean("cpu", "server", 3, quarter)
	printf "the machine was busy to %d %%\n", busy

	# Others on the machine take throughput away, but hardly change what an
	# operation costs.
	if (disturbed == "")
		verdict("operations per second, last quarter by first", rate, ">= 0.9", rate >= 0.9)
	else
		printf "%-60s %6.2f\n", "operations per second, last quarter by first", rate
	verdict("server CPU per operation, last quarter by first", cpu, "<= 1.1", cpu <= 1.1)

	# Before it: the last tenth by that in the middle, if autovacuum has gone
	# round several times by then and the table has found its size.
	tenth = int((from - 1) / 10)
	half = int((from - 1) / 2)
	if (tenth > 0 && half * interval_s >= 300)
	{
		flat = mean("size", "raw", from - tenth, from - 1) / mean("size", "raw", half - tenth + 1, half)
		verdict("size of the table, before the snapshot by half-way to it", flat, "<= 1.1", flat <= 1.1)
	}

	# An old snapshot makes the table larger; what it was then is used again.
	flat = mean("size", "raw", n - 1, n) / mean("size", "raw", to, to + 1)
	verdict("size of the table, end by the end of the snapshot", flat, "<= 1.1", flat <= 1.1)
	for (w in workers)
	{
		grown = (mean("memory", w, begin, n) - mean("memory", w, 3, quarter)) / 1024
		verdict("private memory of " w ", last quarter less first, MB", grown, "<= 4", grown <= 4)
	}
	exit failed
}

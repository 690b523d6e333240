# judge.awk: samples.tsv of the soak -> what drifted, and an exit status.
#
# -v n=intervals -v from= -v to= (the intervals in which a snapshot was held)
# -v interval_s=.
# The first quarter, less a warm-up of two intervals, is compared with the last:
# in neither a snapshot is held.  What was not measured is not good.

function mean(what, name, first, last,    i, sum, count)
{
	for (i = first; i <= last; i++)
		if ((what, name, i) in sample)
		{
			sum += sample[what, name, i]
			count++
		}
	if (first < 1 || last < first || count != last - first + 1)
	{
		printf "%s of %s: %d samples in intervals %d to %d  NOT OK\n", what, name, count, first, last
		failed = 1
		return 1
	}
	return sum / count
}

function verdict(text, value, limit, good)
{
	printf "%-60s %6.2f (limit %s)%s\n", text, value, limit, good ? "" : "  NOT OK"
	if (!good)
		failed = 1
}

# Flat: as large at the end of so many intervals as at their beginning.
function flat_in(first, last,    some)
{
	some = int((last - first + 1) / 10)
	if (some < 1)
		some = 1
	return mean("size", "raw", last - some + 1, last) / mean("size", "raw", first, first + some - 1)
}

# The table without its index.
function heap(first, last)
{
	return mean("size", "raw", first, last) - mean("size", "index", first, last)
}

BEGIN { FS = "\t" }

{
	sample[$2, $3, $1] = $4
	if ($2 == "memory")
		workers[$3] = 1
	if ($2 == "rate" && $3 != "all")
		loads[$3] = 1
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

	# One load hides in the sum: of a hot key or of scans nearly nothing could be
	# left.  They compete for the same cores, so what one loses another may gain.
	for (l in loads)
	{
		n_loads++
		rate = mean("rate", l, begin, n) / mean("rate", l, 3, quarter)
		if (disturbed == "")
			verdict("operations per second of " l ", last quarter by first", rate, ">= 0.8", rate >= 0.8)
		else
			printf "%-60s %6.2f\n", "operations per second of " l ", last quarter by first", rate
	}
	if (n_loads == 0)
		verdict("loads that were measured", 0, "> 0", 0)
	verdict("server CPU per operation, last quarter by first", cpu, "<= 1.1", cpu <= 1.1)

	# Before the snapshot, in its second half: autovacuum has gone round several
	# times by then and the table has found its size.
	half = int((from - 1) / 2)
	if (half * interval_s >= 300)
	{
		flat = flat_in(from - half, from - 1)
		verdict("size of the table, before the snapshot by half-way to it", flat, "<= 1.1", flat <= 1.1)
	}

	# An old snapshot makes the table larger while it is held.  Five minutes after
	# it has ended the table is short again and grows no more, and so is its index,
	# of which less than 32 MiB is left as it is.
	if ((begin - to) * interval_s >= 300)
	{
		flat = flat_in(begin, n)
		verdict("size of the table, in the last quarter, end by beginning", flat, "<= 1.1", flat <= 1.1)
		flat = heap(begin, n) / heap(from - half, from - 1)
		verdict("size without index, last quarter by before the snapshot", flat, "<= 1.2", flat <= 1.2)
		flat = mean("size", "index", begin, n)
		verdict("size of the index in the last quarter, MB", flat / 1024, "< 32, or 1.2 times before",
			flat < 32 * 1024 || flat <= 1.2 * mean("size", "index", from - half, from - 1))
	}
	else
	{
		flat = mean("size", "raw", n - 1, n) / mean("size", "raw", to, to + 1)
		verdict("size of the table, end by the end of the snapshot", flat, "<= 1.1", flat <= 1.1)
	}
	for (w in workers)
	{
		n_workers++
		grown = (mean("memory", w, begin, n) - mean("memory", w, 3, quarter)) / 1024
		verdict("private memory of " w ", last quarter less first, MB", grown, "<= 4", grown <= 4)
	}
	if (n_workers == 0)
		verdict("workers whose memory was measured", 0, "> 0", 0)
	exit failed
}

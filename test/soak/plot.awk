# plot.awk: one kind of samples.tsv -> an SVG with a line for each name.
#
# -v what= -v title= -v unit= (values are divided by it) -v interval_s=
# -v from= -v to= (a span to be shaded)

function x(i) { return 60 + 560 * i / (n > 1 ? n : 1) }
function y(v) { return 240 - 200 * v / top }

BEGIN {
	FS = "\t"
	split("#1b6ca8 #c0392b #27864a #8e44ad #b9770e #16808a #555555", colours, " ")
}

$2 == what {
	v = $4 / unit
	if (!($3 in line))
	{
		names[++n_names] = $3
		line[$3] = ""
	}
	values[$3, $1] = v
	if ($1 > n)
		n = $1
	if (v > top)
		top = v
}

END {
	if (top == 0)
		top = 1
	step = 10 ^ int(log(top) / log(10))
	while (top / step < 4)
		step /= 2
	print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 780 290\" font-family=\"sans-serif\" font-size=\"11\">"
	print "<rect width=\"780\" height=\"290\" fill=\"white\"/>"
	printf "<text x=\"60\" y=\"22\" font-size=\"13\">%s</text>\n", title
	printf "<rect x=\"%.1f\" y=\"40\" width=\"%.1f\" height=\"200\" fill=\"#eeeeee\"/>\n",
		x(from), x(to) - x(from)
	printf "<text x=\"%.1f\" y=\"52\" fill=\"#777777\">snapshot held</text>\n", x(from) + 3
	for (v = 0; v <= top; v += step)
	{
		printf "<line x1=\"60\" x2=\"620\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#dddddd\"/>\n", y(v), y(v)
		printf "<text x=\"54\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n", y(v) + 4, v
	}
	for (k = 1; k <= n_names; k++)
	{
		points = ""
		for (i = 1; i <= n; i++)
			if ((names[k], i) in values)
				points = points sprintf("%.1f,%.1f ", x(i), y(values[names[k], i]))
		colour = colours[(k - 1) % 7 + 1]
		printf "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\"/>\n", points, colour
		printf "<rect x=\"635\" y=\"%d\" width=\"10\" height=\"10\" fill=\"%s\"/>\n", 36 + 16 * k, colour
		printf "<text x=\"650\" y=\"%d\">%s</text>\n", 45 + 16 * k, names[k]
	}
	for (k = 0; k <= 4; k++)
		printf "<text x=\"%.1f\" y=\"258\" text-anchor=\"middle\">%.1f</text>\n",
			x(n * k / 4), n * k / 4 * interval_s / 60
	print "<text x=\"340\" y=\"276\" text-anchor=\"middle\">minutes</text>"
	print "</svg>"
}

/*
 * main.c
 *	  Runs scenario scripts and compares what they print, as TAP.
 *
 * A script is text: lines that begin with '#' explain, lines that begin with
 * '>' are commands, and the lines up to the next blank one are what the
 * command prints.  With --update the scripts are rewritten with what their
 * commands print now.
 */
#include "cluster.h"

typedef struct Text
{
	char *data;
	size_t len;
} Text;

static Text
read_file(const char *path)
{
	Text t = {NULL, 0};
	FILE *f = fopen(path, "r");
	size_t cap = 1 << 20;

	if (f == NULL)
	{
		fprintf(stderr, "%s: cannot open\n", path);
		exit(2);
	}
	t.data = malloc(cap);
	CHECK(t.data != NULL);
	t.len = fread(t.data, 1, cap - 1, f);
	t.data[t.len] = '\0';
	fclose(f);
	return t;
}

/* Run the script; what it should look like, given what it printed. */
static Text
run_script(const char *script)
{
	Text result = {NULL, 0};
	FILE *out = open_memstream(&result.data, &result.len);
	char *copy = strdup(script);
	char *save = NULL;
	bool after_command = false;
	Cluster c;

	CHECK(out != NULL && copy != NULL);
	cluster_init(&c, out);
	save = copy;
	for (char *line; (line = strsep(&save, "\n")) != NULL;)
	{
		if (*line == '>')
		{
			fprintf(out, "%s\n", line);
			run_command(&c, line + 1);
			after_command = true;
		}
		else if (*line == '\0' || *line == '#')
		{
			if (save != NULL)
				fprintf(out, "%s\n", line);
			after_command = false;
		}
		else if (!after_command)
			fprintf(out, "%s\n", line);
	}
	cluster_free(&c);
	fclose(out);
	free(copy);
	return result;
}

static void
print_first_difference(const char *want, const char *got)
{
	int line = 1;

	for (; *want != '\0' && *want == *got; want++, got++)
		line += *want == '\n';
	while (want[0] != '\0' && got[0] != '\0' && want[-1] != '\n')
	{
		want--;
		got--;
	}
	printf("#   line %d\n#   want: %.*s\n#   got:  %.*s\n", line,
		   (int) strcspn(want, "\n"), want, (int) strcspn(got, "\n"), got);
}

static void
write_file(const char *path, Text t)
{
	FILE *f = fopen(path, "w");

	CHECK(f != NULL && fwrite(t.data, 1, t.len, f) == t.len);
	fclose(f);
}

int
main(int argc, char **argv)
{
	bool update = argc > 1 && strcmp(argv[1], "--update") == 0;
	int failed = 0;
	int n = 0;

	for (int i = update ? 2 : 1; i < argc; i++)
	{
		Text script = read_file(argv[i]);
		Text result = run_script(script.data);
		bool same = strcmp(script.data, result.data) == 0;

		n++;
		if (update && !same)
			write_file(argv[i], result);
		printf("%s %d - %s\n", same || update ? "ok" : "not ok", n, argv[i]);
		if (!same && !update)
		{
			failed++;
			print_first_difference(script.data, result.data);
		}
		free(script.data);
		free(result.data);
	}
	printf("1..%d\n", n);
	return failed > 0 || n == 0;
}

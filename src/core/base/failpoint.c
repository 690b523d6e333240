/*
 * failpoint.c
 *	  Named places where a test may stop, delay, fail or kill a process.
 */
#include "core/base/failpoint.h"

#ifdef TIKV_FAILPOINTS

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_FAILPOINTS 64
#define MAX_NAME 64

typedef enum FailAction
{
	FAIL_ERROR,
	FAIL_CRASH,
	FAIL_STOP,
	FAIL_DELAY
} FailAction;

typedef struct Failpoint
{
	char name[MAX_NAME];
	FailAction action;
	long delay_ms;
	long at; /* 0: every time; else at this one only */
	long hits;
} Failpoint;

bool failpoints_active;

static Failpoint points[MAX_FAILPOINTS];
static int n_points;

static bool
parse_action(const char *text, Failpoint *out)
{
	char *end;

	out->at = 0;
	if (*text >= '0' && *text <= '9')
	{
		out->at = strtol(text, &end, 10);
		if (*end != '*' || out->at <= 0)
			return false;
		text = end + 1;
	}
	if (strcmp(text, "error") == 0)
		out->action = FAIL_ERROR;
	else if (strcmp(text, "crash") == 0)
		out->action = FAIL_CRASH;
	else if (strcmp(text, "stop") == 0)
		out->action = FAIL_STOP;
	else if (strncmp(text, "delay(", 6) == 0)
	{
		out->action = FAIL_DELAY;
		out->delay_ms = strtol(text + 6, &end, 10);
		return strcmp(end, ")") == 0 && out->delay_ms >= 0;
	}
	else
		return false;
	return true;
}

/* "name=action"; "off" sets nothing. */
static bool
parse_one(char *text)
{
	char *equals = strchr(text, '=');
	Failpoint *point = &points[n_points];

	if (equals == NULL || equals == text || equals - text >= MAX_NAME ||
		n_points == MAX_FAILPOINTS)
		return false;
	*equals = '\0';
	memset(point, 0, sizeof(*point));
	snprintf(point->name, sizeof(point->name), "%s", text);
	if (strcmp(equals + 1, "off") == 0)
		return true;
	if (!parse_action(equals + 1, point))
		return false;
	n_points++;
	return true;
}

bool
failpoints_set(const char *text)
{
	char copy[4096];
	char *next = copy;
	char *one;
	bool ok = strlen(text) < sizeof(copy);

	n_points = 0;
	snprintf(copy, sizeof(copy), "%s", text);
	while (ok && (one = strsep(&next, ";")) != NULL)
		if (*one != '\0')
			ok = parse_one(one);
	if (!ok)
		n_points = 0;
	failpoints_active = n_points > 0;
	return ok;
}

static void
sleep_ms(long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

	while (nanosleep(&ts, &ts) != 0)
		continue;
}

/* True if it is an error. */
static bool
take_place(Failpoint *point)
{
	point->hits++;
	if (point->at != 0 && point->hits != point->at)
		return false;
	switch (point->action)
	{
		case FAIL_ERROR:
			return true;
		case FAIL_CRASH:
			(void) raise(SIGKILL);
			break;
		case FAIL_STOP:
			(void) raise(SIGSTOP);
			break;
		case FAIL_DELAY:
			sleep_ms(point->delay_ms);
			break;
	}
	return false;
}

bool
failpoint_hit(const char *name)
{
	for (int i = 0; i < n_points; i++)
		if (strcmp(points[i].name, name) == 0 && take_place(&points[i]))
			return true;
	return false;
}

#else

/* A translation unit holds something. */
extern const char failpoints_are_not_built;
const char failpoints_are_not_built = 0;

#endif

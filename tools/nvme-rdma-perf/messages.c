/* SPDX-License-Identifier: BSD-3-Clause */

/* See messages.h. What is kept is guarded by the lock of the standard error, so that no line of progress comes in between either. */

#include "messages.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "progress.h"

/* Longer than a transport id. */
#define MESSAGE_SIZE 1024

static char g_kept[ENDINGS][MESSAGE_SIZE];

static void keep(enum ending ending, const char *message)
{
	if (g_kept[ending][0] == '\0') {
		snprintf(g_kept[ending], sizeof(g_kept[ending]), "%s", message);
	}
}

enum ending complain(enum ending ending, const char *format, ...)
{
	char message[MESSAGE_SIZE];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	flockfile(stderr);
	if (strcmp(message, g_kept[ending]) != 0) {
		progress_clear();
		fprintf(stderr, PROGRAM ": %s\n", message);
		keep(ending, message);
	}
	funlockfile(stderr);
	return ending;
}

void remember(enum ending ending, const char *format, ...)
{
	char message[MESSAGE_SIZE];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	flockfile(stderr);
	keep(ending, message);
	funlockfile(stderr);
}

const char *reason_of(enum ending ending)
{
	return g_kept[ending][0] == '\0' ? NULL : g_kept[ending];
}

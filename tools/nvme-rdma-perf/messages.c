/* SPDX-License-Identifier: BSD-3-Clause */

/* See messages.h. What is kept is guarded by the lock of the standard error, so that no line of progress comes in between either. */

#include "messages.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "progress.h"

/* Longer than a transport id. */
#define MESSAGE_SIZE 1024

static char g_kept[ENDINGS][MESSAGE_SIZE];

/* Keeps a message that is the first of its ending, and if it is to be said, says it unless the same words were kept before. */
static void take(enum ending ending, bool say, const char *format, va_list arguments) __attribute__((format(printf, 3, 0)));

static void take(enum ending ending, bool say, const char *format, va_list arguments)
{
	char message[MESSAGE_SIZE];

	vsnprintf(message, sizeof(message), format, arguments);
	flockfile(stderr);
	if (say && strcmp(message, g_kept[ending]) != 0) {
		progress_clear();
		fprintf(stderr, PROGRAM ": %s\n", message);
	}
	if (g_kept[ending][0] == '\0') {
		memcpy(g_kept[ending], message, sizeof(message));
	}
	funlockfile(stderr);
}

enum ending complain(enum ending ending, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	take(ending, true, format, arguments);
	va_end(arguments);
	return ending;
}

void remember(enum ending ending, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	take(ending, false, format, arguments);
	va_end(arguments);
}

const char *reason_of(enum ending ending)
{
	return g_kept[ending][0] == '\0' ? NULL : g_kept[ending];
}

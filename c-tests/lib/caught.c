/* SPDX-License-Identifier: BSD-3-Clause */

/* See caught.h. */

#include "caught.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char g_text[65536];
static FILE *g_file;
static int g_stderr = -1;

/* The program ends while something is caught: that may be what explains it. */
static void show_what_was_caught(void)
{
	const char *text;

	if (g_stderr >= 0) {
		(void)caught_end(&text);
		fputs(text, stderr);
	}
}

void caught_begin(void)
{
	static bool registered;

	if (!registered) {
		registered = atexit(show_what_was_caught) == 0;
	}
	fflush(stderr);
	g_file = tmpfile();
	g_stderr = dup(STDERR_FILENO);
	if (g_file == NULL || g_stderr < 0 || dup2(fileno(g_file), STDERR_FILENO) < 0) {
		perror("stderr cannot be caught");
		exit(EXIT_FAILURE);
	}
}

unsigned caught_end(const char **text)
{
	unsigned errors = 0;
	size_t length;
	char *line;

	fflush(stderr);
	dup2(g_stderr, STDERR_FILENO);
	close(g_stderr);
	g_stderr = -1;
	rewind(g_file);
	length = fread(g_text, 1, sizeof(g_text) - 1, g_file);
	g_text[length] = '\0';
	fclose(g_file);

	for (line = g_text; *line != '\0';) {
		char *end = strchr(line, '\n');
		char *error = strstr(line, "*ERROR*");

		errors += error != NULL && (end == NULL || error < end);
		line = end == NULL ? line + strlen(line) : end + 1;
	}
	if (text != NULL) {
		*text = g_text;
	}
	return errors;
}

/*
 * The functions that take a variable number of arguments or a va_list.
 *
 * Stable Rust can neither define nor receive those, so they are expanded to plain text here and handed to Rust at
 * once. All names in this file are private to the library: the exported names are trampolines in src/variadic.rs,
 * because rustc exports only what Rust defines.
 *
 * Invariants: an argument list is expanded at most once (each expansion works on its own copy); a failed allocation
 * shortens a log line but never loses it.
 */

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longest text that needs no allocation. */
#define TEXT_ON_STACK 1024

typedef void log_callback(int level, const char *file, int line, const char *func, const char *format, va_list args);

/* Provided by src/log.rs. Hidden, so that the shared library does not export them. */
#pragma GCC visibility push(hidden)
log_callback *spdk_env_rdma_log_callback(void);
int spdk_env_rdma_log_wanted(int level);
void spdk_env_rdma_log_write(int level, const char *file, int line, const char *func, const char *text);
void spdk_env_rdma_log_write_file(FILE *stream, const char *file, int line, const char *func, const char *text);

#pragma GCC visibility pop

/* Called by src/variadic.rs and src/log.rs only. */
void spdk_env_rdma_vlog(int level, const char *file, int line, const char *func, const char *format, va_list args);
void spdk_env_rdma_log(int level, const char *file, int line, const char *func, const char *format, ...)
	__attribute__((__format__(__printf__, 5, 6)));
void spdk_env_rdma_log_text(int level, const char *file, int line, const char *func, const char *text);
void spdk_env_rdma_vflog(FILE *stream, const char *file, int line, const char *func, const char *format, va_list args);
void spdk_env_rdma_flog(FILE *stream, const char *file, int line, const char *func, const char *format, ...)
	__attribute__((__format__(__printf__, 5, 6)));
char *spdk_env_rdma_vsprintf_append(char *buffer, const char *format, va_list args);
char *spdk_env_rdma_sprintf_append(char *buffer, const char *format, ...);
char *spdk_env_rdma_vsprintf_alloc(const char *format, va_list args);
char *spdk_env_rdma_sprintf_alloc(const char *format, ...) __attribute__((__format__(__printf__, 1, 2)));

/*
 * Expands into `small` or, if that is too short, into memory of its own. Returns the text; the caller passes it to
 * release(). Without memory the text is cut to what fits.
 */
static char *
expand(char small[TEXT_ON_STACK], const char *format, va_list args)
{
	va_list measure;
	int length;
	char *large;

	va_copy(measure, args);
	length = vsnprintf(small, TEXT_ON_STACK, format, measure);
	va_end(measure);
	if (length < 0) {
		small[0] = '\0';
		return small;
	}
	if (length < TEXT_ON_STACK) {
		return small;
	}
	large = malloc((size_t)length + 1);
	if (large == NULL) {
		return small;
	}
	vsnprintf(large, (size_t)length + 1, format, args);
	return large;
}

static void
release(const char *small, char *text)
{
	if (text != small) {
		free(text);
	}
}

void
spdk_env_rdma_vlog(int level, const char *file, int line, const char *func, const char *format, va_list args)
{
	char small[TEXT_ON_STACK];
	char *text;
	log_callback *callback = spdk_env_rdma_log_callback();

	if (callback != NULL) {
		callback(level, file, line, func, format, args);
		return;
	}
	if (!spdk_env_rdma_log_wanted(level)) {
		return;
	}
	text = expand(small, format, args);
	spdk_env_rdma_log_write(level, file, line, func, text);
	release(small, text);
}

void
spdk_env_rdma_log(int level, const char *file, int line, const char *func, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	spdk_env_rdma_vlog(level, file, line, func, format, args);
	va_end(args);
}

void
spdk_env_rdma_log_text(int level, const char *file, int line, const char *func, const char *text)
{
	spdk_env_rdma_log(level, file, line, func, "%s", text);
}

void
spdk_env_rdma_vflog(FILE *stream, const char *file, int line, const char *func, const char *format, va_list args)
{
	char small[TEXT_ON_STACK];
	char *text = expand(small, format, args);

	spdk_env_rdma_log_write_file(stream, file, line, func, text);
	release(small, text);
}

void
spdk_env_rdma_flog(FILE *stream, const char *file, int line, const char *func, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	spdk_env_rdma_vflog(stream, file, line, func, format, args);
	va_end(args);
}

char *
spdk_env_rdma_vsprintf_append(char *buffer, const char *format, va_list args)
{
	size_t kept = buffer != NULL ? strlen(buffer) : 0;
	va_list measure;
	int added;
	char *grown;

	va_copy(measure, args);
	added = vsnprintf(NULL, 0, format, measure);
	va_end(measure);
	if (added < 0 || kept > (size_t)INT_MAX - (size_t)added - 1) {
		return NULL;
	}
	grown = realloc(buffer, kept + (size_t)added + 1);
	if (grown != NULL) {
		vsnprintf(grown + kept, (size_t)added + 1, format, args);
	}
	return grown;
}

char *
spdk_env_rdma_sprintf_append(char *buffer, const char *format, ...)
{
	va_list args;
	char *grown;

	va_start(args, format);
	grown = spdk_env_rdma_vsprintf_append(buffer, format, args);
	va_end(args);
	return grown;
}

char *
spdk_env_rdma_vsprintf_alloc(const char *format, va_list args)
{
	return spdk_env_rdma_vsprintf_append(NULL, format, args);
}

char *
spdk_env_rdma_sprintf_alloc(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = spdk_env_rdma_vsprintf_append(NULL, format, args);
	va_end(args);
	return text;
}

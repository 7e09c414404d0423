/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Strings and numbers. All functions may be called from any thread.
 */

#ifndef SPDK_STRING_H
#define SPDK_STRING_H

#include "spdk/stdinc.h"

#ifdef __cplusplus
extern "C" {
#endif

#define _SPDK_STRINGIFY(x) #x
/** The text of x, with macros in it expanded. */
#define SPDK_STRINGIFY(x) _SPDK_STRINGIFY(x)

/*
 * Formatting into memory that the caller gives to free(). NULL: no memory, or a format that cannot be expanded.
 */

/** As sprintf, into a new string. */
char *spdk_sprintf_alloc(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** As spdk_sprintf_alloc(), with an argument list. */
char *spdk_vsprintf_alloc(const char *format, va_list args);

/** As spdk_sprintf_alloc(), at the end of buffer, which moves. buffer may be NULL; it stays as it was on failure. */
char *spdk_sprintf_append_realloc(char *buffer, const char *format, ...)
__attribute__((format(printf, 2, 3)));

/** As spdk_sprintf_append_realloc(), with an argument list. */
char *spdk_vsprintf_append_realloc(char *buffer, const char *format, va_list args);

/*
 * Changing a string in place
 */

/** Makes ASCII letters small. Returns s. */
char *spdk_strlwr(char *s);

/**
 * Takes the next field off a list. Quotes (' and ") and backslashes protect delimiters and are removed. A newline ends
 * the list.
 *
 * \param stringp the rest of the list; set to what follows the field, or NULL after the last one.
 * \param delim characters that separate fields; several in a row count as one.
 * \return the field, or NULL if the list is at its end.
 */
char *spdk_strsepq(char **stringp, const char *delim);

/** Removes white space at both ends. Returns s. */
char *spdk_str_trim(char *s);

/** Removes \r and \n from the end. Returns how many. */
size_t spdk_str_chomp(char *s);

/**
 * Splits "host:port" or "[host]:port"; the string gets NULs between its parts. A port that is missing is NULL.
 *
 * \return 0, or -EINVAL for a bracket that is not closed or is followed by something else than a port.
 */
int spdk_parse_ip_addr(char *ip, char **host, char **port);

/*
 * Error texts
 */

/** Writes the text of an errno value to buf, cut to fit. */
void spdk_strerror_r(int errnum, char *buf, size_t buflen);

/** The text of an errno value. It stays until this thread's next call. */
const char *spdk_strerror(int errnum);

/*
 * Fields of fixed size without a NUL
 */

/** Copies src, at most size bytes of it, and fills the rest of dst with pad. */
void spdk_strcpy_pad(void *dst, const char *src, size_t size, int pad);

/** Length of what is in a field that ends with pads. */
size_t spdk_strlen_pad(const void *str, size_t size, int pad);

/** Whether all bytes are 0. */
bool spdk_mem_all_zero(const void *data, size_t size);

/*
 * Numbers
 */

/**
 * The number that a string consists of.
 *
 * \param base 2 to 36, or 0 for the base that the number's prefix tells.
 * \return the number; -EINVAL if something follows it or the base is none; -ERANGE if it is negative or too large.
 */
long int spdk_strtol(const char *nptr, int base);

/** As spdk_strtol(). */
long long int spdk_strtoll(const char *nptr, int base);

/**
 * A number of bytes, possibly with k, m or g (powers of 1024, in either case) behind it.
 *
 * \param cap receives the number.
 * \param has_prefix receives whether there was a letter, unless NULL.
 * \return 0; -EINVAL if it does not start with a digit or the letter is another one; -ERANGE if it is too large.
 */
int spdk_parse_capacity(const char *cap_str, uint64_t *cap, bool *has_prefix);

/*
 * Arrays of strings that end with NULL, in memory of the standard allocator. NULL: no memory.
 */

/** Splits str at each of the characters in delim. */
char **spdk_strarray_from_string(const char *str, const char *delim);

/** Copies an array and its strings. */
char **spdk_strarray_dup(const char **strarray);

/** Frees an array and its strings. */
void spdk_strarray_free(char **strarray);

/**
 * Copies src with each search in it replaced.
 *
 * \return 0, or -EINVAL if the result and its NUL do not fit or a pointer is NULL.
 */
int spdk_strcpy_replace(char *dst, size_t size, const char *src, const char *search,
			const char *replace);

#ifdef __cplusplus
}
#endif

#endif /* SPDK_STRING_H */

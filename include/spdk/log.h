/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Log lines, log flags and deprecations.
 *
 * A line has a level and a place in the program. It goes to stderr if its level is at most the print level, and to
 * syslog if it is at most the log level; both are SPDK_LOG_ERROR at first. A program that opens a log of its own
 * (spdk_log_open) gets every line there, whatever its level, and none goes anywhere else.
 *
 * All functions may be called from any thread.
 */

#ifndef SPDK_LOG_H
#define SPDK_LOG_H

#include "spdk/stdinc.h"

#include <sys/queue.h>

#include "spdk/assert.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How serious a line is. Each level includes those before it. */
enum spdk_log_level {
	/** As a threshold: nothing. A line of this level is dropped. */
	SPDK_LOG_DISABLED = -1,
	/** Something failed. */
	SPDK_LOG_ERROR,
	/** Something is wrong, but work goes on. */
	SPDK_LOG_WARN,
	/** Something that whoever runs the program wants to know. */
	SPDK_LOG_NOTICE,
	/** What a component with its log flag set does. */
	SPDK_LOG_INFO,
	/** As SPDK_LOG_INFO, in more detail. */
	SPDK_LOG_DEBUG,
};

/*
 * Writing
 */

/**
 * Logs one line.
 *
 * \param level its level.
 * \param file source file, or NULL for a line without place and level.
 * \param line source line.
 * \param func function.
 * \param format text as for printf. It ends with a newline; none is added.
 */
void spdk_log(enum spdk_log_level level, const char *file, const int line, const char *func,
	      const char *format, ...) __attribute__((__format__(__printf__, 5, 6)));

/** As spdk_log(), with an argument list. */
void spdk_vlog(enum spdk_log_level level, const char *file, const int line, const char *func,
	       const char *format, va_list ap);

/** Writes one line to a stream, without level and whatever the thresholds, and flushes it. */
void spdk_flog(FILE *fp, const char *file, const int line, const char *func,
	       const char *format, ...) __attribute__((__format__(__printf__, 5, 6)));

/** As spdk_flog(), with an argument list. */
void spdk_vflog(FILE *fp, const char *file, const int line, const char *func,
		const char *format, va_list ap);

/** Writes a label, then len bytes of buf in hexadecimal and as text, to a stream, and flushes it. */
void spdk_log_dump(FILE *fp, const char *label, const void *buf, size_t len);

#define SPDK_ERRLOG(...) \
	spdk_log(SPDK_LOG_ERROR, __FILE__, __LINE__, __func__, __VA_ARGS__)
#define SPDK_WARNLOG(...) \
	spdk_log(SPDK_LOG_WARN, __FILE__, __LINE__, __func__, __VA_ARGS__)
#define SPDK_NOTICELOG(...) \
	spdk_log(SPDK_LOG_NOTICE, __FILE__, __LINE__, __func__, __VA_ARGS__)
/** A notice without place and level. */
#define SPDK_PRINTF(...) \
	spdk_log(SPDK_LOG_NOTICE, NULL, -1, NULL, __VA_ARGS__)

/** An error at most once a second from this place; the next one says how many were left out. Needs spdk/env.h. */
#define SPDK_ERRLOG_RATELIMIT(...) \
	do { \
		static uint64_t spdk_ratelimit_next_; \
		static uint64_t spdk_ratelimit_skipped_; \
		const uint64_t spdk_ratelimit_now_ = spdk_get_ticks(); \
		if (spdk_ratelimit_now_ < spdk_ratelimit_next_) { \
			spdk_ratelimit_skipped_++; \
			break; \
		} \
		spdk_ratelimit_next_ = spdk_ratelimit_now_ + spdk_get_ticks_hz(); \
		SPDK_ERRLOG(__VA_ARGS__); \
		if (spdk_ratelimit_skipped_ != 0) { \
			SPDK_ERRLOG("(same message squashed %" PRIu64 " times)\n", spdk_ratelimit_skipped_); \
			spdk_ratelimit_skipped_ = 0; \
		} \
	} while (0)

/** Logs at a level if the component's flag (see SPDK_LOG_REGISTER_COMPONENT) is set. */
#define SPDK_FLAGGED_LOG_(level, flag, ...) \
	do { \
		extern struct spdk_log_flag SPDK_LOG_##flag; \
		if (SPDK_LOG_##flag.enabled) { \
			spdk_log(level, __FILE__, __LINE__, __func__, __VA_ARGS__); \
		} \
	} while (0)

#define SPDK_INFOLOG(flag, ...) SPDK_FLAGGED_LOG_(SPDK_LOG_INFO, flag, __VA_ARGS__)

/* What only a debug build (DEBUG defined) logs. */
#ifdef DEBUG
#define SPDK_DEBUGLOG_FLAG_ENABLED(name) spdk_log_get_flag(name)
#define SPDK_DEBUGLOG(flag, ...) SPDK_FLAGGED_LOG_(SPDK_LOG_DEBUG, flag, __VA_ARGS__)
#define SPDK_LOGDUMP(flag, label, buf, len) \
	do { \
		extern struct spdk_log_flag SPDK_LOG_##flag; \
		if (SPDK_LOG_##flag.enabled) { \
			spdk_log_dump(stderr, (label), (buf), (len)); \
		} \
	} while (0)
#else
#define SPDK_DEBUGLOG_FLAG_ENABLED(name) false
#define SPDK_DEBUGLOG(...) do { } while (0)
#define SPDK_LOGDUMP(...) do { } while (0)
#endif

/*
 * Where lines go
 */

/** A log of the program's own. Takes what spdk_vlog() takes. */
typedef void spdk_log_cb(int level, const char *file, const int line,
			 const char *func, const char *format, va_list args);

/** Called when a log is opened. */
typedef void spdk_log_open_cb(void *ctx);

/** Called when a log is closed. */
typedef void spdk_log_close_cb(void *ctx);

/** For spdk_log_open_ext(). */
struct spdk_log_opts {
	/** sizeof(struct spdk_log_opts) as the program knows it. What lies behind it counts as NULL. */
	size_t size;
	/** Takes all lines. NULL: stderr and syslog take them. */
	spdk_log_cb *log;
	/** Called at once. NULL: nothing is. */
	spdk_log_open_cb *open;
	/** Called by spdk_log_close(). NULL: nothing is. */
	spdk_log_close_cb *close;
	/** Goes to open and close. */
	void *user_ctx;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_log_opts) == 40, "layout of struct spdk_log_opts");

/** Opens a log: all lines go to log from now on. NULL opens syslog. */
void spdk_log_open(spdk_log_cb *log);

/** Opens a log with functions for its beginning and end. NULL opens syslog. */
void spdk_log_open_ext(struct spdk_log_opts *opts);

/** Closes the log. Lines go to stderr and syslog again. */
void spdk_log_close(void);

/** Whether lines on stderr and in streams begin with the time. They do at first. */
void spdk_log_enable_timestamps(bool value);

/** Sets the threshold for syslog. What is no level is refused with a log line. */
void spdk_log_set_level(enum spdk_log_level level);

/** The threshold for syslog. */
enum spdk_log_level spdk_log_get_level(void);

/** Sets the threshold for stderr. What is no level is refused with a log line. */
void spdk_log_set_print_level(enum spdk_log_level level);

/** The threshold for stderr. */
enum spdk_log_level spdk_log_get_print_level(void);

/** The priority that syslog has for a level; -1 for SPDK_LOG_DISABLED. */
int spdk_log_to_syslog_level(enum spdk_log_level level);

/*
 * Flags
 */

/** A component's switch for its SPDK_INFOLOG and SPDK_DEBUGLOG lines. */
struct spdk_log_flag {
	/** Reserved. */
	TAILQ_ENTRY(spdk_log_flag) tailq;
	/** Name, as users give it. */
	const char *name;
	/** Whether the lines are logged. */
	bool enabled;
};

/**
 * Makes a flag known by a name. Names are compared regardless of case; a second flag of the same name is refused with
 * a log line. The flag must outlive the library.
 */
void spdk_log_register_flag(const char *name, struct spdk_log_flag *flag);

/** Defines a component's flag and registers it before main. */
#define SPDK_LOG_REGISTER_COMPONENT(flag) \
	struct spdk_log_flag SPDK_LOG_##flag = { { NULL, NULL }, #flag, false }; \
	__attribute__((constructor)) static void register_flag_##flag(void) \
	{ \
		spdk_log_register_flag(#flag, &SPDK_LOG_##flag); \
	}

/** The first flag in the order of names, or NULL. */
struct spdk_log_flag *spdk_log_get_first_flag(void);

/** The flag after a given one, or NULL. */
struct spdk_log_flag *spdk_log_get_next_flag(struct spdk_log_flag *flag);

/** Whether there is a flag of this name and it is set. */
bool spdk_log_get_flag(const char *flag);

/**
 * Sets all flags that a name or a pattern as of fnmatch(3) matches, regardless of case; "all" sets every one.
 *
 * \return 0, or -EINVAL if there is none.
 */
int spdk_log_set_flag(const char *flag);

/** Clears flags, as spdk_log_set_flag() sets them. */
int spdk_log_clear_flag(const char *flag);

/** Writes the line about log flags for a program's usage text. log_arg is the program's short option. */
void spdk_log_usage(FILE *f, const char *log_arg);

/*
 * Deprecations
 */

/** A feature that is going to be removed. */
struct spdk_deprecation;

/** Rate limit: one line a day. */
#define SPDK_LOG_DEPRECATION_EVERY_24H 86400
/** Rate limit: none. */
#define SPDK_LOG_DEPRECATION_ALWAYS 0

/**
 * Makes a deprecation known.
 *
 * \param tag short name.
 * \param description what is deprecated.
 * \param remove_release release in which it will be gone.
 * \param rate_limit_seconds shortest time between two lines about it.
 * \param reg receives the handle. It stays valid for good.
 * \return 0, or -EINVAL if a pointer is NULL.
 */
int spdk_log_deprecation_register(const char *tag, const char *description,
				  const char *remove_release, uint32_t rate_limit_seconds,
				  struct spdk_deprecation **reg);

/** Defines a deprecation's handle and registers it before main. */
#define SPDK_LOG_DEPRECATION_REGISTER(tag, desc, release, rate) \
	struct spdk_deprecation *_deprecated_##tag; \
	__attribute__((constructor)) static void _spdk_deprecation_register_##tag(void) \
	{ \
		if (spdk_log_deprecation_register(#tag, desc, release, rate, &_deprecated_##tag) != 0) { \
			abort(); \
		} \
	}

/** Counts a use, and logs a warning about it unless one was logged within the rate limit. */
void spdk_log_deprecated(struct spdk_deprecation *deprecation, const char *file, uint32_t line,
			 const char *func);

#define SPDK_LOG_DEPRECATED(tag) \
	spdk_log_deprecated(_deprecated_##tag, __FILE__, __LINE__, __func__)

/** Called for a deprecation. Anything but 0 ends the iteration. */
typedef int (*spdk_log_for_each_deprecation_fn)(void *ctx, struct spdk_deprecation *deprecation);

/** Calls fn for each deprecation. Returns the last call's answer, or 0. */
int spdk_log_for_each_deprecation(void *ctx, spdk_log_for_each_deprecation_fn fn);

/** Its short name. */
const char *spdk_deprecation_get_tag(const struct spdk_deprecation *deprecation);

/** What is deprecated. */
const char *spdk_deprecation_get_description(const struct spdk_deprecation *deprecation);

/** The release in which it will be gone. */
const char *spdk_deprecation_get_remove_release(const struct spdk_deprecation *deprecation);

/** How often it was used. */
uint64_t spdk_deprecation_get_hits(const struct spdk_deprecation *deprecation);

#ifdef __cplusplus
}
#endif

#endif /* SPDK_LOG_H */

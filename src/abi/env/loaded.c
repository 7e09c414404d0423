/*
 * The environment of a process that has loaded the shared library: looked for when it is first needed, among what is
 * loaded then. So is another library that defines SPDK's functions. It is linked into the shared library alone (build.rs).
 *
 * The shared library must load anywhere: a preload reaches shells and every other program on the way, dlopen may be
 * told to keep an environment's symbols local, and a linker may drop or reorder libraries. So it has no undefined symbol
 * of the environment: what Rust calls by SPDK's names are the functions here, hidden, each of which goes on to the real
 * one by one jump.
 *
 * What must hold:
 * - an environment is taken whole, from one place, so that the clock and the memory maps are one library's;
 * - once it is found, it stays and is kept loaded: whoever has read a pointer here may use it for ever;
 * - before it is found, each function answers as an environment that has nothing: no crash.
 *
 * It is C since a name that Rust defines and hides would be defined in the static archive as well, where the same names
 * must be left to the linker; and since spdk_log takes a variable number of arguments.
 */

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct spdk_mem_map;
struct spdk_mem_map_ops;

#pragma GCC visibility push(hidden)

/* Called by env.rs, log.rs and entry.rs; linked.c says what they are. */
const char *nvme_rdma_env_missing(void);
bool nvme_rdma_env_has_log(void);
uint64_t nvme_rdma_loaded(void);
void *nvme_rdma_definition(const char *name);

/* SPDK's names, called by env.rs, log.rs and memory/sys.rs. */
uint64_t spdk_get_ticks(void);
uint64_t spdk_get_ticks_hz(void);
struct spdk_mem_map *spdk_mem_map_alloc(uint64_t default_translation, const struct spdk_mem_map_ops *ops, void *cb_ctx);
void spdk_mem_map_free(struct spdk_mem_map **map);
int spdk_mem_map_set_translation(struct spdk_mem_map *map, uint64_t vaddr, uint64_t size, uint64_t translation);
int spdk_mem_map_clear_translation(struct spdk_mem_map *map, uint64_t vaddr, uint64_t size);
uint64_t spdk_mem_map_translate(const struct spdk_mem_map *map, uint64_t vaddr, uint64_t *size);
void spdk_log(int level, const char *file, int line, const char *func, const char *format, ...)
	__attribute__((__format__(__printf__, 5, 6)));

#pragma GCC visibility pop

/* Every function of the environment that the library calls: result, name, parameters, arguments, and what is answered
 * before an environment is found. */
#define ENVIRONMENT(X) \
	X(uint64_t, get_ticks, (void), (), 0) \
	X(uint64_t, get_ticks_hz, (void), (), 0) \
	X(struct spdk_mem_map *, mem_map_alloc, \
	  (uint64_t default_translation, const struct spdk_mem_map_ops *ops, void *cb_ctx), \
	  (default_translation, ops, cb_ctx), NULL) \
	X(int, mem_map_set_translation, \
	  (struct spdk_mem_map *map, uint64_t vaddr, uint64_t size, uint64_t translation), \
	  (map, vaddr, size, translation), -ENOSYS) \
	X(int, mem_map_clear_translation, (struct spdk_mem_map *map, uint64_t vaddr, uint64_t size), \
	  (map, vaddr, size), -ENOSYS) \
	X(uint64_t, mem_map_translate, (const struct spdk_mem_map *map, uint64_t vaddr, uint64_t *size), \
	  (map, vaddr, size), 0)

/* For each: its type, what stands in for it, the pointer to the one that is called, and the function that jumps there.
 * A relaxed load is enough: the code that a pointer leads to was there before the pointer. */
#define FUNCTION(result, name, parameters, arguments, nothing) \
	typedef result name##_fn parameters; \
	static name##_fn no_##name; \
	static name##_fn *_Atomic to_##name = no_##name; \
	result spdk_##name parameters \
	{ \
		return atomic_load_explicit(&to_##name, memory_order_relaxed) arguments; \
	}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define NOTHING(result, name, parameters, arguments, nothing) \
	static result no_##name parameters \
	{ \
		return nothing; \
	}

ENVIRONMENT(FUNCTION)
ENVIRONMENT(NOTHING)
#pragma GCC diagnostic pop

/* The one that returns nothing. */
typedef void mem_map_free_fn(struct spdk_mem_map **map);

static void
no_mem_map_free(struct spdk_mem_map **map)
{
	*map = NULL;
}

static mem_map_free_fn *_Atomic to_mem_map_free = no_mem_map_free;

void
spdk_mem_map_free(struct spdk_mem_map **map)
{
	atomic_load_explicit(&to_mem_map_free, memory_order_relaxed)(map);
}

typedef void log_fn(int level, const char *file, int line, const char *func, const char *format, ...);

static log_fn *_Atomic to_log;

/* Looking ------------------------------------------------------------------------------------------------------------ */

/* Something that is looked for: symbols that one place must have all of. */
struct wanted {
	const char *const *names;
	size_t count;
	/* Where they were found. */
	void **found;
	/* What was loaded when they were not: there is no use in looking again before there is more. */
	bool looked;
	unsigned long long loaded;
};

/* Something of this library's, to tell it by. */
static const char g_me[] = "libspdk_nvme_rdma";

/* Held while looking, so that one thread does. */
static pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;

/* The first symbol that a place lacks, NULL if it has all. */
static const char *
lacks(void *place, struct wanted *wanted)
{
	size_t i;

	for (i = 0; i < wanted->count; i++) {
		wanted->found[i] = dlsym(place, wanted->names[i]);
		if (wanted->found[i] == NULL) {
			return wanted->names[i];
		}
	}
	return NULL;
}

/* The files that are loaded. They are opened after the walk: the loader's lock is held during it. */
struct files {
	char **names;
	size_t count;
	/* How many objects were ever loaded. */
	unsigned long long loaded;
	bool names_wanted;
};

static int
note_file(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct files *files = arg;
	char **names;
	char *name;

	(void)size;
	files->loaded = info->dlpi_adds;
	if (!files->names_wanted) {
		return 1;
	}
	/* The program itself has no name, and was looked through with the global scope. */
	if (info->dlpi_name == NULL || info->dlpi_name[0] == '\0') {
		return 0;
	}
	names = realloc(files->names, (files->count + 1) * sizeof(*names));
	if (names == NULL) {
		return 1;
	}
	files->names = names;
	name = strdup(info->dlpi_name);
	if (name == NULL) {
		return 1;
	}
	files->names[files->count++] = name;
	return 0;
}

/* The handle of the first file that is loaded and that `has` what `wanted` says. NULL if there is none. The handle is kept:
 * what was found must not be unloaded. */
static void *
in_loaded(bool (*has)(void *place, void *wanted), void *wanted)
{
	struct files files = {.names_wanted = true};
	void *found = NULL;
	size_t i;

	dl_iterate_phdr(note_file, &files);
	for (i = 0; i < files.count; i++) {
		void *handle = found != NULL ? NULL : dlopen(files.names[i], RTLD_LAZY | RTLD_NOLOAD);

		if (handle != NULL && has(handle, wanted)) {
			found = handle;
		} else if (handle != NULL) {
			dlclose(handle);
		}
		free(files.names[i]);
	}
	free(files.names);
	/* What was not found is nobody's business. */
	dlerror();
	return found;
}

static bool
has_all(void *place, void *wanted)
{
	return lacks(place, wanted) == NULL;
}

/* Looks in the global scope, behind this library, and in each library that is loaded, whose symbols may be local. NULL
 * if all was found, else a name that is missing: the first that the best place of the global scope lacks. */
static const char *
look(struct wanted *wanted)
{
	struct files files = {.names_wanted = false};
	const char *missing;

	missing = lacks(RTLD_DEFAULT, wanted);
	if (missing == NULL || lacks(RTLD_NEXT, wanted) == NULL) {
		return NULL;
	}
	dl_iterate_phdr(note_file, &files);
	if (wanted->looked && wanted->loaded == files.loaded) {
		return missing;
	}
	wanted->looked = true;
	wanted->loaded = files.loaded;
	return in_loaded(has_all, wanted) != NULL ? NULL : missing;
}

/* A definition that is looked for, and is not to be this library's own. */
struct definition {
	const char *name;
	void *address;
};

static bool
has_another(void *place, void *wanted)
{
	struct definition *definition = wanted;
	Dl_info theirs, ours;

	definition->address = dlsym(place, definition->name);
	/* A place of another library's may lead back here, by what it depends on. */
	return definition->address != NULL && dladdr(definition->address, &theirs) != 0 && dladdr(g_me, &ours) != 0 &&
	       theirs.dli_fbase != ours.dli_fbase;
}

uint64_t
nvme_rdma_loaded(void)
{
	struct files files = {.names_wanted = false};

	dl_iterate_phdr(note_file, &files);
	return files.loaded;
}

void *
nvme_rdma_definition(const char *name)
{
	struct definition definition = {.name = name};

	return in_loaded(has_another, &definition) != NULL ? definition.address : NULL;
}

/* Stores an address that dlsym gave as a pointer to a function. */
#define TAKE(pointer, address) \
	do { \
		__typeof__(atomic_load(&(pointer))) function_; \
		void *address_ = (address); \
		_Static_assert(sizeof(function_) == sizeof(address_), "addresses have one size"); \
		memcpy(&function_, &address_, sizeof(function_)); \
		atomic_store_explicit(&(pointer), function_, memory_order_release); \
	} while (0)

#define NAME(result, name, parameters, arguments, nothing) "spdk_" #name,
#define TAKE_NEXT(result, name, parameters, arguments, nothing) TAKE(to_##name, found[i++]);

const char *
nvme_rdma_env_missing(void)
{
	static const char *const names[] = {ENVIRONMENT(NAME) "spdk_mem_map_free"};
	static void *found[sizeof(names) / sizeof(names[0])];
	static struct wanted wanted = {.names = names, .count = sizeof(names) / sizeof(names[0]), .found = found};
	static atomic_bool complete;
	const char *missing = NULL;

	if (atomic_load_explicit(&complete, memory_order_acquire)) {
		return NULL;
	}
	pthread_mutex_lock(&g_lock);
	if (!atomic_load_explicit(&complete, memory_order_relaxed)) {
		missing = look(&wanted);
		if (missing == NULL) {
			size_t i = 0;

			ENVIRONMENT(TAKE_NEXT)
			TAKE(to_mem_map_free, found[i]);
			atomic_store_explicit(&complete, true, memory_order_release);
		}
	}
	pthread_mutex_unlock(&g_lock);
	return missing;
}

bool
nvme_rdma_env_has_log(void)
{
	static const char *const names[] = {"spdk_log"};
	static void *found[1];
	static struct wanted wanted = {.names = names, .count = 1, .found = found};

	if (atomic_load_explicit(&to_log, memory_order_acquire) != NULL) {
		return true;
	}
	pthread_mutex_lock(&g_lock);
	if (atomic_load_explicit(&to_log, memory_order_relaxed) == NULL && look(&wanted) == NULL) {
		TAKE(to_log, found[0]);
	}
	pthread_mutex_unlock(&g_lock);
	return atomic_load_explicit(&to_log, memory_order_acquire) != NULL;
}

/* A variable number of arguments cannot be handed on as it is: the line is made here. Without memory for it the format
 * stands for the line. */
void
spdk_log(int level, const char *file, int line, const char *func, const char *format, ...)
{
	log_fn *log = atomic_load_explicit(&to_log, memory_order_acquire);
	char *text = NULL;
	va_list args;

	if (log == NULL) {
		return;
	}
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0) {
		text = NULL;
	}
	va_end(args);
	log(level, file, line, func, "%s", text != NULL ? text : format);
	free(text);
}

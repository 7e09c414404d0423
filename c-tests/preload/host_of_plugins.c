/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * host_of_plugins FILE: a program that has none of SPDK's symbols and opens a plugin that has, as fio does: what the plugin is linked
 * with is seen by the plugin alone.
 */

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int
main(int argc, char **argv)
{
	void *plugin = argc == 2 ? dlopen(argv[1], RTLD_LAZY | RTLD_LOCAL) : NULL;
	void *address = plugin != NULL ? dlsym(plugin, "run_program") : NULL;
	int (*run)(void);

	if (address == NULL || dlsym(RTLD_DEFAULT, "standin_calls") != NULL) {
		printf("%s\n", address == NULL ? dlerror() : "the stand-in is not the plugin's alone");
		return 1;
	}
	memcpy(&run, &address, sizeof(address));
	return run();
}

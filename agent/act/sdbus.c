/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/act/sdbus.h"

#include <dlfcn.h>
#include <errno.h>

#define LIBRARY "libsystemd.so.0"

/* Writes the address through a pointer to the slot: ISO C has no cast from object to function. */
static int find(void *handle, const char *symbol, void *slot, struct error *err)
{
	void *at = dlsym(handle, symbol);

	if (!at)
		return error_set(err, -ENOSYS, "systemd's library has no '%s'", symbol);
	*(void **)slot = at;
	return 0;
}

static int find_all(struct sdbus *lib, struct error *err)
{
	int rc = find(lib->handle, "sd_bus_message_unref", (void *)&lib->message_unref, err);

	if (rc == 0)
		rc = find(lib->handle, "sd_bus_flush_close_unref", (void *)&lib->flush_close_unref,
			  err);
	if (rc == 0)
		rc = find(lib->handle, "sd_bus_error_free", (void *)&lib->error_free, err);
#define X(name, args) \
	if (rc == 0)  \
		rc = find(lib->handle, "sd_bus_" #name, (void *)&lib->name, err);
	SDBUS_LIST(X)
#undef X
	return rc;
}

int sdbus_load(struct sdbus *ret, struct error *err)
{
	struct sdbus lib = {.handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL)};
	int rc;

	if (!lib.handle)
		return error_set(err, -ENOENT, "this host has no library of systemd (%s)", LIBRARY);
	rc = find_all(&lib, err);
	if (rc < 0) {
		sdbus_unload(&lib);
		return rc;
	}
	*ret = lib;
	return 0;
}

void sdbus_unload(struct sdbus *lib)
{
	if (lib->handle)
		dlclose(lib->handle);
	*lib = (struct sdbus){.handle = NULL};
}

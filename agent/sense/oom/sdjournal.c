/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sense/oom/sdjournal.h"

#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>

/* Writes the address through a pointer to the slot: ISO C has no cast from object to function. */
static int find(void *handle, const char *symbol, void *slot, struct error *err)
{
	void *at = dlsym(handle, symbol);

	if (!at)
		return error_set(err, -ENOSYS, "systemd's library has no '%s'", symbol);
	*(void **)slot = at;
	return 0;
}

static int find_all(struct sdjournal *lib, struct error *err)
{
	int rc = find(lib->handle, "sd_journal_close", (void *)&lib->close, err);

#define X(name, args) \
	if (rc == 0)  \
		rc = find(lib->handle, "sd_journal_" #name, (void *)&lib->name, err);
	SDJOURNAL_LIST(X)
#undef X
	return rc;
}

int sdjournal_load(const char *library, struct sdjournal *ret, struct error *err)
{
	struct sdjournal lib = {.handle = dlopen(library, RTLD_NOW | RTLD_LOCAL)};
	const char *why;
	int rc;

	if (!lib.handle) {
		why = dlerror();
		return error_set(err, -ENOENT, "cannot load systemd's library: %s",
				 why ? why : library);
	}
	rc = find_all(&lib, err);
	if (rc < 0) {
		sdjournal_unload(&lib);
		return rc;
	}
	*ret = lib;
	return 0;
}

void sdjournal_unload(struct sdjournal *lib)
{
	if (lib->handle)
		dlclose(lib->handle);
	*lib = (struct sdjournal){.handle = NULL};
}

/* Where a signal handler finds its way back: there is no other way to hand it something. */
static sigjmp_buf *guard;

static void on_sigbus(int number)
{
	(void)number;
	siglongjmp(*guard, 1);
}

int sdjournal_guard(int (*fn)(void *arg), void *arg)
{
	const struct sigaction ours = {.sa_handler = on_sigbus};
	struct sigaction before;
	sigjmp_buf here;
	int rc;

	if (sigaction(SIGBUS, &ours, &before) < 0)
		return -errno;
	guard = &here;
	if (sigsetjmp(here, 1) == 0)
		rc = fn(arg);
	else
		rc = -EIO;
	guard = NULL;
	if (sigaction(SIGBUS, &before, NULL) < 0)
		rc = -errno;
	return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What cppcheck must know of the libraries' macros; it is not given their headers. */
#define json_array_foreach(array, i, v) \
	for (i = 0; i < json_array_size(array) && (v = json_array_get(array, i)); i++)
#define HASH_ITER(hh, head, el, tmp) for (el = head, tmp = NULL; el; el = tmp)
#define TAILQ_HEAD(name, type)              \
	struct {                            \
		struct type *first, **last; \
	}
#define TAILQ_ENTRY(type)                  \
	struct {                           \
		struct type *next, **prev; \
	}
#define TAILQ_FOREACH(v, head, link)      for (v = (head)->first; v; v = v->link.next)
#define TAILQ_FOREACH_SAFE(v, head, l, t) for (v = (head)->first; v && (t = v->l.next, 1); v = t)
#define LIST_HEAD(name, type)             TAILQ_HEAD(name, type)
#define LIST_ENTRY(type)                  TAILQ_ENTRY(type)
#define STAILQ_HEAD(name, type)           TAILQ_HEAD(name, type)
#define STAILQ_ENTRY(type)                TAILQ_ENTRY(type)
#define STAILQ_FOREACH(v, head, link)     TAILQ_FOREACH (v, head, link)

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Lists and queues: the C library's <sys/queue.h>, and the loops that it lacks, in which the element at hand may be
 * removed or freed (next is a variable of the same type as var); and exchanging what two of a kind hold (type is the tag of
 * their elements' structure).
 */

#ifndef SPDK_QUEUE_H
#define SPDK_QUEUE_H

#include <stddef.h>
#include <sys/queue.h>

#ifndef SLIST_FOREACH_SAFE
#define SLIST_FOREACH_SAFE(var, head, field, next) \
	for ((var) = SLIST_FIRST(head); (var) != NULL && ((next) = SLIST_NEXT(var, field), 1); (var) = (next))
#endif

#ifndef LIST_FOREACH_SAFE
#define LIST_FOREACH_SAFE(var, head, field, next) \
	for ((var) = LIST_FIRST(head); (var) != NULL && ((next) = LIST_NEXT(var, field), 1); (var) = (next))
#endif

#ifndef STAILQ_FOREACH_SAFE
#define STAILQ_FOREACH_SAFE(var, head, field, next) \
	for ((var) = STAILQ_FIRST(head); (var) != NULL && ((next) = STAILQ_NEXT(var, field), 1); (var) = (next))
#endif

#ifndef TAILQ_FOREACH_SAFE
#define TAILQ_FOREACH_SAFE(var, head, field, next) \
	for ((var) = TAILQ_FIRST(head); (var) != NULL && ((next) = TAILQ_NEXT(var, field), 1); (var) = (next))
#endif

#ifndef STAILQ_SWAP
#define STAILQ_SWAP(head1, head2, type) \
	do { \
		struct type *swap_first = STAILQ_FIRST(head1), **swap_last = (head1)->stqh_last; \
\
		if (STAILQ_EMPTY(head2)) { \
			STAILQ_INIT(head1); \
		} else { \
			STAILQ_FIRST(head1) = STAILQ_FIRST(head2); \
			(head1)->stqh_last = (head2)->stqh_last; \
		} \
		if (swap_first == NULL) { \
			STAILQ_INIT(head2); \
		} else { \
			STAILQ_FIRST(head2) = swap_first; \
			(head2)->stqh_last = swap_last; \
		} \
	} while (0)
#endif

#ifndef TAILQ_SWAP
#define TAILQ_SWAP(head1, head2, type, field) \
	do { \
		struct type *swap_first = TAILQ_FIRST(head1), **swap_last = (head1)->tqh_last; \
\
		if (TAILQ_EMPTY(head2)) { \
			TAILQ_INIT(head1); \
		} else { \
			TAILQ_FIRST(head1) = TAILQ_FIRST(head2); \
			(head1)->tqh_last = (head2)->tqh_last; \
			TAILQ_FIRST(head1)->field.tqe_prev = &TAILQ_FIRST(head1); \
		} \
		if (swap_first == NULL) { \
			TAILQ_INIT(head2); \
		} else { \
			TAILQ_FIRST(head2) = swap_first; \
			(head2)->tqh_last = swap_last; \
			swap_first->field.tqe_prev = &TAILQ_FIRST(head2); \
		} \
	} while (0)
#endif

#endif /* SPDK_QUEUE_H */

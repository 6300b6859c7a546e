/* SPDX-License-Identifier: MIT */
/*
 * find.c - which sessions there are
 *
 * Every process keeps the descriptor of its page, or its supervisor keeps a copy: a supervisor is an ordinary
 * process of its user, so whoever may look into /proc/PID/fd there (the same user, or root) may read the pages
 * of all its workers, and cannot write them. The workers themselves are closed to other processes. So all that
 * is needed is to look for descriptors of the pages' name; a session without workers is found in its leader.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/mem.h"
#include "trace.h"

#define PAGE_LINK    "/memfd:dsmx-page"
#define CONTROL_LINK "/memfd:dsmx-control"

const char *peer_name(uint32_t peer, char buf[16])
{
	if (peer == DSMX_ABI_LEADER)
		return "leader";
	snprintf(buf, 16, "worker %u", peer - 1);
	return buf;
}

const char *process_name(pid_t pid, char buf[32])
{
	char path[64];
	FILE *file;

	buf[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	file = fopen(path, "re");
	if (file != NULL) {
		if (fgets(buf, 32, file) != NULL)
			buf[strcspn(buf, "\n")] = '\0';
		fclose(file);
	}
	return buf;
}

/* --- the list ----------------------------------------------------------------------------------------------------- */

static bool is_known(const struct sessions *sessions, const struct stat *st)
{
	for (uint32_t i = 0; i < sessions->count; i++)
		for (uint32_t p = 0; p < DSMX_ABI_PEERS; p++) {
			const struct page *page = &sessions->list[i]->pages[p];
			const struct page *dead = &sessions->list[i]->dead[p];

			if ((page->base != NULL && page->device == st->st_dev &&
			     page->inode == st->st_ino) ||
			    (dead->base != NULL && dead->device == st->st_dev &&
			     dead->inode == st->st_ino))
				return true;
		}
	return false;
}

static int by_id(const void *a, const void *b)
{
	const struct session *const *x = a, *const *y = b;

	return (*x)->id<(*y)->id ? -1 : (*x)->id>(*y)->id;
}

static struct session *session_of(struct sessions *sessions, uint64_t id)
{
	struct session *s;

	for (uint32_t i = 0; i < sessions->count; i++)
		if (sessions->list[i]->id == id)
			return sessions->list[i];
	s = mem_alloc(sizeof(*s));
	s->id = id;
	sessions->list =
		mem_resize(sessions->list, (sessions->count + 1) * sizeof(*sessions->list));
	sessions->list[sessions->count++] = s;
	qsort(sessions->list, sessions->count, sizeof(*sessions->list), by_id);
	return s;
}

static bool is_alive(const struct page *page)
{
	return page->base != NULL && (kill((pid_t)page->head.pid, 0) == 0 || errno == EPERM);
}

/* Of those that are gone the last one counts. */
static void bury(struct session *s, struct page *page)
{
	struct page *place = &s->dead[page->head.peer];

	if (place->base != NULL && place->head.epoch > page->head.epoch) {
		page_close(page);
		return;
	}
	page_close(place);
	*place = *page;
	page->base = NULL;
}

/* A later incarnation takes the place of the one before. */
static void add_page(struct sessions *sessions, struct page *page)
{
	struct session *s = session_of(sessions, page->head.session);
	struct page *place = &s->pages[page->head.peer];

	if (!is_alive(page) || (place->base != NULL && place->head.epoch > page->head.epoch)) {
		bury(s, page);
		return;
	}
	if (place->base != NULL)
		bury(s, place);
	*place = *page;
	if (page->head.peers > s->peers)
		s->peers = page->head.peers;
	if (page->head.peer == DSMX_ABI_LEADER)
		s->leader = (pid_t)page->head.pid;
}

static void drop(struct sessions *sessions, uint32_t index)
{
	struct session *s = sessions->list[index];

	for (uint32_t p = 0; p < DSMX_ABI_PEERS; p++) {
		page_close(&s->pages[p]);
		page_close(&s->dead[p]);
	}
	free(s);
	sessions->count--;
	memmove(&sessions->list[index], &sessions->list[index + 1],
	        (sessions->count - index) * sizeof(*sessions->list));
}

void sessions_fini(struct sessions *sessions)
{
	while (sessions->count > 0)
		drop(sessions, sessions->count - 1);
	free(sessions->list);
	sessions->list = NULL;
}

/* --- looking ------------------------------------------------------------------------------------------------------ */

/* Which session's it is, it says itself. */
static void look_at_control(struct sessions *sessions, const char *path)
{
	struct dsmx_control_abi words;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool good = fd >= 0 && pread(fd, &words, sizeof(words), 0) == sizeof(words) &&
	            words.magic == DSMX_CONTROL_MAGIC && words.version == DSMX_ABI_VERSION;

	if (fd >= 0)
		close(fd);
	if (good)
		snprintf(session_of(sessions, words.session)->control,
		         sizeof(sessions->list[0]->control), "%s", path);
}

static void look_at_fd(struct sessions *sessions, const char *path)
{
	char link[64];
	ssize_t len = readlink(path, link, sizeof(link) - 1);
	struct page page;
	struct stat st;
	int r;

	if (len >= (ssize_t)strlen(CONTROL_LINK) &&
	    strncmp(link, CONTROL_LINK, strlen(CONTROL_LINK)) == 0)
		look_at_control(sessions, path);
	if (len < (ssize_t)strlen(PAGE_LINK) || strncmp(link, PAGE_LINK, strlen(PAGE_LINK)) != 0)
		return;
	if (stat(path, &st) < 0 || is_known(sessions, &st))
		return;
	r = page_open(path, &page);
	if (r == 0)
		add_page(sessions, &page);
	sessions->denied += r == -EACCES || r == -EPERM;
	sessions->other_version += r == -EPROTO;
}

static void look_at_process(struct sessions *sessions, const char *pid)
{
	struct dirent *entry;
	char path[64];
	DIR *list;

	snprintf(path, sizeof(path), "/proc/%.12s/fd", pid);
	list = opendir(path);
	if (list == NULL) {
		sessions->denied += errno == EACCES || errno == EPERM;
		return;
	}
	while ((entry = readdir(list)) != NULL) {
		snprintf(path, sizeof(path), "/proc/%.12s/fd/%.12s", pid, entry->d_name);
		if (isdigit((unsigned char)entry->d_name[0]))
			look_at_fd(sessions, path);
	}
	closedir(list);
}

/* Who has died since is not among the living. */
static void bury_dead(struct session *s)
{
	for (uint32_t p = 0; p < DSMX_ABI_PEERS; p++)
		if (s->pages[p].base != NULL && !is_alive(&s->pages[p]))
			bury(s, &s->pages[p]);
}

static bool is_wanted(const struct session *s, const struct trace_options *options,
                      const struct pids *group)
{
	bool wanted = options->pid == 0, alive = false, in_group = options->cgroup == NULL;

	for (uint32_t p = 0; p < DSMX_ABI_PEERS; p++) {
		const struct page *page = &s->pages[p], *dead = &s->dead[p];

		wanted |= (page->base != NULL && page->head.pid == (uint32_t)options->pid) ||
		          (dead->base != NULL && dead->head.pid == (uint32_t)options->pid);
		alive |= page->base != NULL;
		in_group |= page->base != NULL && group_has(group, (pid_t)page->head.pid);
	}
	return alive && wanted && in_group && (options->session == 0 || options->session == s->id);
}

void sessions_find(struct sessions *sessions, const struct trace_options *options)
{
	DIR *proc = opendir("/proc");
	struct pids group = { .count = 0 };
	struct dirent *entry;

	if (options->cgroup != NULL)
		group_take(options->cgroup, &group);
	sessions->denied = sessions->other_version = 0;
	while (proc != NULL && (entry = readdir(proc)) != NULL)
		if (isdigit((unsigned char)entry->d_name[0]))
			look_at_process(sessions, entry->d_name);
	if (proc != NULL)
		closedir(proc);
	for (uint32_t i = sessions->count; i > 0; i--)
		bury_dead(sessions->list[i - 1]);
	for (uint32_t i = sessions->count; i > 0; i--)
		if (!is_wanted(sessions->list[i - 1], options, &group))
			drop(sessions, i - 1);
	group_free(&group);
}

int sessions_none(const struct sessions *sessions, const struct trace_options *options)
{
	if (options->session != 0)
		fprintf(stderr, "dsmx-trace: session %016" PRIx64 " is not there",
		        options->session);
	else if (options->cgroup != NULL)
		fprintf(stderr, "dsmx-trace: no session has a process in %s", options->cgroup);
	else if (options->pid != 0)
		fprintf(stderr, "dsmx-trace: process %d is in no session that can be seen",
		        (int)options->pid);
	else
		fputs("dsmx-trace: no session is open", stderr);
	if (sessions->other_version > 0)
		fputs("; one is of another version of dsmx: use the dsmx-trace of that version",
		      stderr);
	else if (geteuid() != 0 && sessions->denied > 0)
		fputs(" as far as this user can see: those of others need root", stderr);
	fputc('\n', stderr);
	return options->pid != 0 && geteuid() != 0 && kill(options->pid, 0) < 0 && errno == EPERM
	               ? EXIT_PERMISSION
	               : EXIT_ERROR;
}

/* SPDX-License-Identifier: MIT */
/*
 * run.c - run test programs that speak TAP, and count what they say
 *
 *	run [-t SECONDS] [-s SKIPS] [-p PATTERNS] FILE...
 *
 * A file is a program of the harness or a script. It gets a session of its own, no input, and an empty TMPDIR;
 * what it writes goes into a file in memory and is read when it has ended. What counts:
 *
 *	passed	an "ok" point
 *	failed	a "not ok" point, or one marked TODO
 *		a skip, of a point or of a whole file, that SKIPS does not allow on this machine
 *		and once per file, if it did not keep to its part: it crashed, took longer than SECONDS, printed no
 *		plan or another number of points, exited with another code than its points call for, left a process
 *		behind or something in TMPDIR
 *	skipped	a skip that is allowed
 *
 * So the only way to a green run is that every test ran and passed, or that the machine lacks what it needs:
 * SKIPS names the kinds of machine, and this program looks for itself whether it runs on one.
 *
 * A file is reported in one line, its whole output is shown when something failed, and the last line is
 * "N passed, N failed, N skipped". The exit code is 0 if nothing failed, else 1; 130 after Ctrl-C.
 *
 * As a child subreaper this process inherits every process that a test's processes leave behind, whatever
 * session they are in. They get a moment to end by themselves, as a supervisor does that cleans up after its
 * leader; then they are named, counted and killed.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LEFT_BEHIND_GRACE_MS 3000
#define SKIPS_MAX            128

struct counts {
	int passed, failed, skipped;
};

/* One line of SKIPS: what may be skipped on which kind of machine. */
struct skip {
	char kind[32];
	char pattern[160];
};

struct runner {
	struct skip skips[SKIPS_MAX];
	int skip_count;
	int seconds;
	const char *patterns;
	bool terminal;
	struct counts total;
};

/* What is known of the file that runs. */
struct file_run {
	const char *path;
	const char *name;
	char *output;
	int status;
	bool late;
	bool interrupted;
	char tmpdir[256];
	struct counts counts;
	int points;
	int planned; /* -1: no plan */
	bool whole_skip;
	bool bailed;
	char said[4096]; /* by the runner, about the file */
	size_t said_len;
	double seconds;
};

__attribute__((format(printf, 2, 3))) static void say(struct file_run *file, const char *fmt, ...)
{
	size_t room = sizeof(file->said) - file->said_len;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(file->said + file->said_len, room, fmt, args);
	va_end(args);
	if (n > 0)
		file->said_len += (size_t)n < room ? (size_t)n : room - 1;
}

static double now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- what kind of machine this is ------------------------------------------------------------------ */

static bool not_root(void)
{
	return geteuid() != 0;
}

static bool no_hugepages(void)
{
	FILE *meminfo = fopen("/proc/meminfo", "re");
	char line[128];
	int free_pages = 0;

	while (meminfo != NULL && fgets(line, sizeof(line), meminfo) != NULL)
		(void)sscanf(line, "HugePages_Free: %d", &free_pages);
	if (meminfo != NULL)
		(void)fclose(meminfo);
	return free_pages < 16;
}

/* io_uring with its futex operations came in 6.7. */
static bool no_uring_futex(void)
{
	struct utsname name;
	int major = 0, minor = 0;
	char disabled = '0';
	int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (read(fd, &disabled, 1) != 1)
			disabled = '0';
		(void)close(fd);
	}
	(void)uname(&name);
	(void)sscanf(name.release, "%d.%d", &major, &minor);
	if (major < 6 || (major == 6 && minor < 7) || disabled == '2' ||
	    (disabled == '1' && geteuid() != 0))
		return true;
	/* A container's seccomp filter says EPERM or ENOSYS; a NULL argument is EFAULT where it works. */
	return syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno != EFAULT;
}

static bool no_cgroup(void)
{
	return access("/sys/fs/cgroup/cgroup.procs", W_OK) != 0 &&
	       access("/sys/fs/cgroup/unified/cgroup.procs", W_OK) != 0;
}

static bool no_cgroup_v1(void)
{
	return access("/sys/fs/cgroup/memory/tasks", W_OK) != 0;
}

static bool one_node(void)
{
	return access("/sys/devices/system/node/node1", F_OK) != 0;
}

static bool in_chroot(void)
{
	struct stat ours, inits;

	return stat("/", &ours) != 0 || stat("/proc/1/root/.", &inits) != 0 ||
	       ours.st_dev != inits.st_dev || ours.st_ino != inits.st_ino;
}

static bool sanitized(void)
{
	const char *variant = getenv("DSMX_VARIANT");

	return variant != NULL && (strcmp(variant, "asan") == 0 || strcmp(variant, "tsan") == 0);
}

static const struct kind {
	const char *name;
	bool (*holds)(void);
} kinds[] = {
	{ "not-root", not_root },
	{ "no-hugepages", no_hugepages },
	{ "no-uring-futex", no_uring_futex },
	{ "no-cgroup", no_cgroup },
	{ "no-cgroup-v1", no_cgroup_v1 },
	{ "one-node", one_node },
	{ "chroot", in_chroot },
	{ "sanitized", sanitized },
};

static const struct kind *find_kind(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	}
	return NULL;
}

/* --- what may be skipped --------------------------------------------------------------------------- */

static char *trim(char *text)
{
	char *end = text + strlen(text);

	while (end > text && isspace((unsigned char)end[-1]))
		*--end = '\0';
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

static bool read_skips(struct runner *runner, const char *path)
{
	FILE *in = fopen(path, "re");
	char line[256];

	if (in == NULL) {
		fprintf(stderr, "run: %s: %s\n", path, strerror(errno));
		return false;
	}
	for (int number = 1; fgets(line, sizeof(line), in) != NULL; number++) {
		struct skip *skip = &runner->skips[runner->skip_count];
		char *text = trim(line);

		if (*text == '\0' || *text == '#')
			continue;
		if (runner->skip_count == SKIPS_MAX ||
		    sscanf(text, "%31s %159[^\n]", skip->kind, skip->pattern) != 2 ||
		    find_kind(skip->kind) == NULL) {
			fprintf(stderr,
			        "run: %s:%d: not \"KIND PATTERN\" with a known kind, or too many\n",
			        path, number);
			(void)fclose(in);
			return false;
		}
		runner->skip_count++;
	}
	(void)fclose(in);
	return true;
}

static bool may_skip(const struct runner *runner, const char *what)
{
	for (int i = 0; i < runner->skip_count; i++) {
		const struct skip *skip = &runner->skips[i];

		if (fnmatch(skip->pattern, what, 0) == 0 && find_kind(skip->kind)->holds())
			return true;
	}
	return false;
}

/* --- reading TAP ----------------------------------------------------------------------------------- */

/* The "SKIP reason" or "TODO" after a '#' in @text, or NULL. */
static char *directive(char *text, const char *word)
{
	for (char *at = strchr(text, '#'); at != NULL; at = strchr(at + 1, '#')) {
		char *after = at + 1 + strspn(at + 1, " \t");

		if (strncasecmp(after, word, strlen(word)) == 0)
			return after + strlen(word);
	}
	return NULL;
}

static void count_skip(const struct runner *runner, struct file_run *file, const char *what,
                       char *why)
{
	char full[512];

	(void)snprintf(full, sizeof(full), "%s%s%s", file->name, *what ? ": " : "", what);
	if (may_skip(runner, full)) {
		file->counts.skipped++;
		say(file, "        skipped: %s (%s)\n", full, trim(why));
	} else {
		file->counts.failed++;
		say(file, "# skipped, which %s: %s (%s)\n", "selftests/skips does not allow here",
		    full, trim(why));
	}
}

/* "ok 3 - text # SKIP why", what comes after "ok". */
static void read_point(const struct runner *runner, struct file_run *file, bool ok, char *rest)
{
	char *end, *text, *why;
	long number;

	file->points++;
	rest += strspn(rest, " ");
	number = strtol(rest, &end, 10);
	if (end != rest && number != file->points)
		say(file, "# point %ld came as number %d\n", number, file->points);
	text = end + strspn(end, " ");
	if (strncmp(text, "- ", 2) == 0)
		text += 2;
	why = directive(text, "SKIP");
	if (directive(text, "TODO") != NULL) {
		say(file, "# TODO is not used here: %s\n", text);
		file->counts.failed++;
	} else if (!ok) {
		file->counts.failed++;
	} else if (why != NULL) {
		char what[256];

		(void)snprintf(what, sizeof(what), "%.*s", (int)(strchr(text, '#') - text), text);
		count_skip(runner, file, trim(what), why);
	} else {
		file->counts.passed++;
	}
}

/* "1..7", "1..0 # SKIP why". */
static void read_plan(const struct runner *runner, struct file_run *file, char *rest)
{
	char *end, *why;
	long count = strtol(rest, &end, 10);

	if (end == rest || count < 0 || count > 1000000 || file->planned >= 0) {
		say(file, "# a plan that is none, or a second one: 1..%s\n", rest);
		file->bailed = true;
		return;
	}
	file->planned = (int)count;
	why = directive(end, "SKIP");
	if (count == 0 && why != NULL) {
		file->whole_skip = true;
		count_skip(runner, file, "", why);
	}
}

static void read_tap(const struct runner *runner, struct file_run *file)
{
	char *copy = strdup(file->output), *rest = copy, *line;

	while (copy != NULL && (line = strsep(&rest, "\n")) != NULL) {
		line[strcspn(line, "\r")] = '\0';
		if (strncmp(line, "1..", 3) == 0)
			read_plan(runner, file, line + 3);
		else if (strcmp(line, "ok") == 0 || strncmp(line, "ok ", 3) == 0)
			read_point(runner, file, true, line + 2);
		else if (strcmp(line, "not ok") == 0 || strncmp(line, "not ok ", 7) == 0)
			read_point(runner, file, false, line + 6);
		else if (strncmp(line, "Bail out!", 9) == 0)
			file->bailed = true;
	}
	free(copy);
}

/* Whether the file as a whole kept to its part; a sentence about the first thing that it did not. */
static bool judge(struct file_run *file)
{
	int code = WIFEXITED(file->status) ? WEXITSTATUS(file->status) : -1;
	bool failed = file->counts.failed > 0;
	bool skipped = file->counts.skipped > 0 && file->counts.passed == 0;

	if (file->interrupted)
		say(file, "# interrupted after point %d\n", file->points);
	else if (file->late)
		say(file, "# took too long and was killed, after point %d\n", file->points);
	else if (WIFSIGNALED(file->status))
		say(file, "# died of signal %d (%s), after point %d\n", WTERMSIG(file->status),
		    strsignal(WTERMSIG(file->status)), file->points);
	else if (file->bailed && failed)
		return true; /* the point that it gave up at is counted */
	else if (file->bailed)
		say(file, "# gave up after point %d\n", file->points);
	else if (file->planned < 0)
		say(file, "# printed no plan; exit code %d\n", code);
	else if (file->planned == 0 && !file->whole_skip)
		say(file, "# planned nothing\n");
	else if (file->points != file->planned)
		say(file, "# planned %d points, and printed %d; exit code %d\n", file->planned,
		    file->points, code);
	else if (!failed && code != 0 && !(code == 4 && skipped))
		say(file, "# exit code %d, though nothing failed\n", code);
	else
		return true;
	return false;
}

/* --- running one file ------------------------------------------------------------------------------ */

static int count_left(const char *path, struct file_run *file)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int found = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (found++ < 10)
			say(file, "# left in TMPDIR: %s\n", entry->d_name);
	}
	if (dir != NULL)
		(void)closedir(dir);
	return found;
}

static void remove_dir(const char *path)
{
	pid_t child = fork();

	if (child == 0) {
		(void)execlp("rm", "rm", "-rf", path, (char *)NULL);
		_exit(127);
	}
	if (child > 0)
		(void)waitpid(child, NULL, 0);
}

/* Names and, with @sig, signals each child of this process. */
static int each_child(struct file_run *file, int sig)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int found = 0;

	while (proc != NULL && (entry = readdir(proc)) != NULL) {
		char path[300], name[64] = "?", state = '?';
		int pid = atoi(entry->d_name), parent = 0;
		FILE *stat_file;

		if (pid <= 0)
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		stat_file = fopen(path, "re");
		if (stat_file == NULL)
			continue;
		if (fscanf(stat_file, "%*d (%63[^)]) %c %d", name, &state, &parent) == 3 &&
		    parent == getpid() && state != 'Z') {
			found++;
			if (file != NULL)
				say(file, "# left running: %s, pid %d\n", name, pid);
			if (sig != 0)
				(void)kill(pid, sig);
		}
		(void)fclose(stat_file);
	}
	if (proc != NULL)
		(void)closedir(proc);
	return found;
}

/* Reaps until nobody is left or @until; true if nobody is. SIGINT and SIGTERM end it early. */
static bool reap_until(double until, pid_t main_child, int *ret_status, int *ret_signal)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	for (;;) {
		double left = until - now_s();
		struct timespec wait = { .tv_sec = (time_t)left,
			                 .tv_nsec = (long)((left - (double)(time_t)left) * 1e9) };
		int status, sig;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid < 0)
			return true;
		if (pid > 0 && pid == main_child) {
			*ret_status = status;
			return false;
		}
		if (pid > 0)
			continue;
		if (left <= 0)
			return false;
		sig = sigtimedwait(&set, NULL, &wait);
		if (sig == SIGINT || sig == SIGTERM) {
			*ret_signal = sig;
			return false;
		}
	}
}

static pid_t start(const struct file_run *file, int output)
{
	pid_t child = fork();
	sigset_t none;

	if (child != 0)
		return child;
	(void)setsid();
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (getenv("DSMX_VARIANT") != NULL && strcmp(getenv("DSMX_VARIANT"), "tsan") == 0)
		(void)personality(ADDR_NO_RANDOMIZE); /* its shadow does not fit every layout */
	(void)setenv("TMPDIR", file->tmpdir, 1);
	if (dup2(open("/dev/null", O_RDONLY), STDIN_FILENO) < 0 ||
	    dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
		_exit(126);
	(void)close_range(3, ~0U, 0);
	(void)execl(file->path, file->path, (char *)NULL);
	fprintf(stderr, "%s: %s\n", file->path, strerror(errno));
	_exit(127);
}

static char *read_all(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *text = calloc(1, (size_t)size + 1);

	for (off_t at = 0; text != NULL && at < size;) {
		ssize_t n = pread(fd, text + at, (size_t)(size - at), at);

		if (n <= 0)
			break;
		at += n;
	}
	for (off_t at = 0; text != NULL && at < size; at++) {
		if (text[at] == '\0')
			text[at] = '?';
	}
	return text;
}

/* Ends everything that is left of a file; a process that cannot die is not waited for. */
static void kill_rest(void)
{
	double until = now_s() + 10;
	int status, ended_by;

	do {
		(void)each_child(NULL, SIGKILL);
	} while (!reap_until(now_s() + 0.1, 0, &status, &ended_by) && now_s() < until);
}

/* Returns the signal that this program was ended with, or 0. */
static int run_file(struct runner *runner, struct file_run *file)
{
	const char *tmp = getenv("TMPDIR");
	int output = memfd_create("tap", MFD_CLOEXEC), ended_by = 0, left = 0, status = -1;
	double began = now_s();
	pid_t child;
	bool kept;

	(void)snprintf(file->tmpdir, sizeof(file->tmpdir), "%s/dsmx-selftest.XXXXXX",
	               tmp != NULL ? tmp : "/tmp");
	if (output < 0 || mkdtemp(file->tmpdir) == NULL || (child = start(file, output)) < 0) {
		perror("run");
		exit(2);
	}
	(void)reap_until(began + runner->seconds, child, &status, &ended_by);
	file->interrupted = ended_by != 0;
	file->late = status == -1 && !file->interrupted;
	file->status = status;
	if (status != -1) {
		(void)reap_until(now_s() + LEFT_BEHIND_GRACE_MS / 1e3, 0, &status, &ended_by);
		left = each_child(file, 0);
	}
	kill_rest();
	file->seconds = now_s() - began;
	file->output = read_all(output);
	(void)close(output);
	read_tap(runner, file);
	kept = judge(file);
	if (kept && (left > 0 || count_left(file->tmpdir, file) > 0))
		kept = false;
	file->counts.failed += !kept;
	remove_dir(file->tmpdir);
	return ended_by;
}

/* --- reporting ------------------------------------------------------------------------------------- */

static void report(const struct file_run *file)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "%d passed", file->counts.passed);

	if (file->counts.failed > 0)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ", %d failed",
		              file->counts.failed);
	if (file->counts.skipped > 0)
		(void)snprintf(text + n, sizeof(text) - (size_t)n, ", %d skipped",
		               file->counts.skipped);
	if (file->counts.failed > 0)
		printf("--- all that %s said:\n%s%s---\n", file->name, file->output,
		       file->output[0] && file->output[strlen(file->output) - 1] != '\n' ? "\n"
		                                                                         : "");
	printf("%s  %-28s %-34s %7.2f s\n%s", file->counts.failed > 0 ? "FAILED" : "ok    ",
	       file->name, text, file->seconds, file->said);
	(void)fflush(stdout);
}

/* A pattern is a glob, or a part of the name. */
static bool selected(const char *patterns, const char *name)
{
	char copy[512], *rest = copy, *word;
	bool any = false;

	(void)snprintf(copy, sizeof(copy), "%s", patterns);
	while ((word = strsep(&rest, " ,")) != NULL) {
		if (*word == '\0')
			continue;
		any = true;
		if (fnmatch(word, name, 0) == 0 || strstr(name, word) != NULL)
			return true;
	}
	return !any;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* Returns the signal that ended it, or 0. */
static int run_all(struct runner *runner, int count, char **paths)
{
	int number = 0, ended_by = 0, wanted = 0;

	for (int i = 0; i < count; i++)
		wanted += selected(runner->patterns, base_name(paths[i]));
	if (wanted == 0) {
		printf("run: no test file of %d is called \"%s\"\n", count, runner->patterns);
		runner->total.failed = 1;
	}
	for (int i = 0; i < count && ended_by == 0; i++) {
		struct file_run file = { .path = paths[i],
			                 .name = base_name(paths[i]),
			                 .planned = -1 };

		if (!selected(runner->patterns, file.name))
			continue;
		number++;
		if (runner->terminal) {
			printf("\r\033[K[%d/%d] %s ...", number, wanted, file.name);
			(void)fflush(stdout);
		}
		ended_by = run_file(runner, &file);
		if (runner->terminal)
			printf("\r\033[K");
		report(&file);
		free(file.output);
		runner->total.passed += file.counts.passed;
		runner->total.failed += file.counts.failed;
		runner->total.skipped += file.counts.skipped;
	}
	return ended_by;
}

int main(int argc, char **argv)
{
	struct runner runner = { .seconds = 300,
		                 .patterns = "",
		                 .terminal = isatty(STDOUT_FILENO) };
	sigset_t mask;
	int option, ended_by;

	while ((option = getopt(argc, argv, "t:s:p:")) != -1) {
		if (option == 't')
			runner.seconds = atoi(optarg);
		else if (option == 'p')
			runner.patterns = optarg;
		else if (option != 's' || !read_skips(&runner, optarg))
			return 2;
	}
	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGCHLD);
	(void)sigaddset(&mask, SIGINT);
	(void)sigaddset(&mask, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
		perror("run: subreaper");
	ended_by = run_all(&runner, argc - optind, argv + optind);
	printf("%d passed, %d failed, %d skipped\n", runner.total.passed, runner.total.failed,
	       runner.total.skipped);
	if (ended_by != 0)
		return 128 + ended_by;
	return runner.total.failed > 0;
}

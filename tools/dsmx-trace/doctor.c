/* SPDX-License-Identifier: MIT */
/* doctor.c - dsmx-trace doctor: what works here, and what to do about the rest */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "source.h"

#define CAP_BIT_SYS_ADMIN 21
#define CAP_BIT_PERFMON   38
#define CAP_BIT_BPF       39

struct finding {
	const char *what;
	bool works;
	char text[192];
};

static void show(const struct trace_options *options, const struct finding *f)
{
	if (options->format == FORMAT_JSON)
		printf("{\"type\":\"finding\",\"what\":\"%s\",\"works\":%s,\"text\":\"%s\"}\n",
		       f->what, f->works ? "true" : "false", f->text);
	else
		printf("%-4s %-12s %s\n", f->works ? "ok" : "no", f->what, f->text);
}

static uint64_t effective_caps(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	uint64_t caps = 0;
	char line[256];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, "CapEff:", 7) == 0)
			caps = strtoull(line + 7, NULL, 16);
	if (file != NULL)
		fclose(file);
	return caps;
}

static void read_line(const char *path, char *buf, size_t len)
{
	FILE *file = fopen(path, "re");

	buf[0] = '\0';
	if (file != NULL) {
		if (fgets(buf, (int)len, file) != NULL)
			buf[strcspn(buf, "\n")] = '\0';
		fclose(file);
	}
}

static struct finding look_at_sessions(const struct trace_options *options)
{
	struct sessions sessions = { .count = 0 };
	struct finding f = { .what = "sessions", .works = true };

	sessions_find(&sessions, options);
	if (sessions.count > 0)
		snprintf(f.text, sizeof(f.text),
		         "%u to be seen: top, stat, hist, why and list work on them",
		         sessions.count);
	else if (sessions.other_version > 0) {
		f.works = false;
		snprintf(f.text, sizeof(f.text),
		         "those there are of another version of dsmx: use its dsmx-trace");
	} else {
		snprintf(f.text, sizeof(f.text), "none is open%s",
		         geteuid() == 0 ? "" : " that is this user's; those of others need root");
	}
	sessions_fini(&sessions);
	return f;
}

static struct finding look_at_caps(void)
{
	uint64_t caps = effective_caps();
	bool bpf = (caps >> CAP_BIT_BPF & 1) != 0 || (caps >> CAP_BIT_SYS_ADMIN & 1) != 0;
	bool perfmon = (caps >> CAP_BIT_PERFMON & 1) != 0 || (caps >> CAP_BIT_SYS_ADMIN & 1) != 0;
	struct finding f = { .what = "capabilities", .works = bpf && perfmon };

	if (f.works)
		snprintf(f.text, sizeof(f.text), "probes can be used with BPF");
	else
		snprintf(f.text, sizeof(f.text),
		         "%s%s%s missing for probes; run as root, or: setcap "
		         "cap_bpf,cap_perfmon+ep on the tracer",
		         bpf ? "" : "CAP_BPF", bpf || perfmon ? "" : " and ",
		         perfmon ? "" : "CAP_PERFMON");
	return f;
}

static struct finding look_at_btf(void)
{
	struct finding f = { .what = "btf", .works = access("/sys/kernel/btf/vmlinux", R_OK) == 0 };

	snprintf(f.text, sizeof(f.text), "%s",
	         f.works ? "the kernel describes its types: scheduler times can be had"
	                 : "the kernel does not describe its types (CONFIG_DEBUG_INFO_BTF): "
	                   "StartStream times work, scheduler times do not");
	return f;
}

static struct finding look_at_lockdown(void)
{
	struct finding f = { .what = "lockdown", .works = true };
	char line[128];

	read_line("/sys/kernel/security/lockdown", line, sizeof(line));
	f.works = strstr(line, "[confidentiality]") == NULL;
	snprintf(f.text, sizeof(f.text), "%s",
	         f.works ? "the kernel is not locked down against reading"
	                 : "the kernel is locked down (confidentiality): BPF may not read memory");
	return f;
}

/* Linux says by this system call's error, outside of a probe, whether and how it optimises user probes. */
static struct finding look_at_uprobes(void)
{
	struct finding f = { .what = "uprobes", .works = true };
	const char *how = "by a trap, 0.5 us each";
	struct utsname name;

#if defined(__x86_64__)
	errno = 0;
	(void)syscall(336);
	if (errno == ENXIO)
		how = "by a call in place of a 5-byte nop, 0.35 us each; the library's sites are safe "
		      "for it";
	else if (errno == EPROTO)
		how = "by a call in place of a 10-byte nop";
#else
	f.works = false;
	how = "not: the library has probe sites on x86-64 only";
#endif
	uname(&name);
	snprintf(f.text, sizeof(f.text), "Linux %s probes %s", name.release, how);
	return f;
}

static struct finding look_at_programs(void)
{
	struct finding f = { .what = "programs" };
	bool scheduler;
	int r = kernel_try(&scheduler);

	f.works = r == 0;
	if (!kernel_is_built())
		snprintf(
			f.text, sizeof(f.text),
			"built without BPF: install clang, bpftool and libbpf-dev, and build again");
	else if (r == -EPERM || r == -EACCES)
		snprintf(
			f.text, sizeof(f.text),
			"may not be loaded: see capabilities; top, stat, hist and why work without");
	else if (r < 0)
		snprintf(f.text, sizeof(f.text), "are not loaded by this kernel: %s", strerror(-r));
	else
		snprintf(f.text, sizeof(f.text),
		         "load: slow, follow, record, export and hist -k work%s",
		         scheduler ? ", with times asleep and waiting"
		                   : ", without times asleep and waiting");
	return f;
}

static struct finding look_at_probes(bool loadable)
{
	struct finding f = { .what = "probes" };
	int seen = loadable ? self_look() : -1;

	f.works = seen == 3;
	if (seen == 3)
		snprintf(f.text, sizeof(f.text),
		         "fire: three StartStreams of its own were seen, with all five stamps");
	else if (seen < 0)
		snprintf(f.text, sizeof(f.text), "could not be tried");
	else
		snprintf(
			f.text, sizeof(f.text),
			"are set, but only %d of three StartStreams were seen: this kernel does not "
			"fire them",
			seen);
	return f;
}

int doctor_main(const struct trace_options *options)
{
	struct finding findings[] = {
		look_at_sessions(options), look_at_caps(),     look_at_btf(),  look_at_lockdown(),
		look_at_uprobes(),         look_at_programs(), { .what = "" },
	};
	size_t last = sizeof(findings) / sizeof(findings[0]) - 1;

	findings[last] = look_at_probes(findings[last - 1].works);
	for (size_t i = 0; i <= last; i++)
		show(options, &findings[i]);
	return EXIT_OK;
}

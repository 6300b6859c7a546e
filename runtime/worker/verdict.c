/* SPDX-License-Identifier: MIT */
/*
 * How a worker ended.
 *
 * In this order: what we ended it for; an exec that failed; killed while its cgroup counted an OOM kill; its
 * signal; its exit code, with what it said itself. The counters are those of a group that served this
 * incarnation alone, so any count is its own; only on a hybrid machine and without a limit of memory, OOM kills are
 * counted in the group that it shares with its application: there, one of the application's other processes, killed
 * for lack of memory in the life of a worker that then is killed by somebody, misleads.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/err.h"
#include "worker/supervisor.h"

#define EXIT_EXEC_FAILED 127

static const char *signal_name(int sig)
{
	const char *text = sigabbrev_np(sig);

	return text != NULL ? text : "?";
}

static int find_reason(const struct dx_worker *worker, const siginfo_t *info,
                       const struct dsmx_usage *usage)
{
	bool exited = info->si_code == CLD_EXITED;

	if (worker->ended_as != DSMX_EXIT_NONE)
		return worker->ended_as;
	if (exited && info->si_status == 0)
		return DSMX_EXIT_CLEAN;
	if (exited && info->si_status == EXIT_EXEC_FAILED && worker->said.code != 0 &&
	    !worker->offer.ready)
		return DSMX_EXIT_EXEC_FAILED;
	if (exited)
		return worker->said.code == -EPROTO ? DSMX_EXIT_PROTOCOL : DSMX_EXIT_CODE;
	if (info->si_status == SIGKILL && usage->oom_kills > 0)
		return DSMX_EXIT_OOM;
	if (info->si_status == SIGBUS && usage->hugetlb_refused > 0)
		return DSMX_EXIT_HUGETLB_LIMIT;
	return DSMX_EXIT_SIGNAL;
}

static void describe(const struct dx_worker *worker, const struct dsmx_usage *usage,
                     struct dx_verdict *verdict)
{
	unsigned index = worker->peer - 1;
	const char *said = worker->said.code != 0 ? worker->said.message : "";
	char how[96], forks[64] = "";

	switch (verdict->reason) {
	case DSMX_EXIT_CLEAN:
		(void)snprintf(how, sizeof(how), "%s",
		               worker->after != DX_AFTER_POLICY ? "was drained and has ended"
		                                                : "ended before the session did");
		break;
	case DSMX_EXIT_OOM:
		if (usage->memory_peak_bytes == 0)
			(void)snprintf(how, sizeof(how), "was killed for lack of memory");
		else
			(void)snprintf(
				how, sizeof(how),
				"was killed for lack of memory (its cgroup's peak was %llu bytes)",
				(unsigned long long)usage->memory_peak_bytes);
		break;
	case DSMX_EXIT_HUGETLB_LIMIT:
		(void)snprintf(how, sizeof(how),
		               "was killed for lack of huge pages: its group's limit was reached");
		break;
	case DSMX_EXIT_SIGNAL:
		(void)snprintf(how, sizeof(how), "was killed by signal %d (SIG%s)", verdict->status,
		               signal_name(verdict->status));
		break;
	case DSMX_EXIT_START_TIMEOUT:
		(void)snprintf(how, sizeof(how), "was not ready within %llu ms",
		               (unsigned long long)worker->supervisor->start.start_timeout_ms);
		break;
	case DSMX_EXIT_STOP_TIMEOUT:
		(void)snprintf(how, sizeof(how), "did not stop in time and was killed");
		break;
	case DSMX_EXIT_WATCHDOG:
		(void)snprintf(how, sizeof(how), "did not move for %llu ms and was killed",
		               (unsigned long long)worker->supervisor->start.watchdog_ms);
		break;
	case DSMX_EXIT_PROTOCOL:
		(void)snprintf(how, sizeof(how), "broke the protocol");
		break;
	case DSMX_EXIT_EXEC_FAILED:
		(void)snprintf(how, sizeof(how), "could not be started");
		break;
	case DSMX_EXIT_LEADER_GONE:
		(void)snprintf(how, sizeof(how), "was ended, as its leader is gone");
		break;
	default:
		(void)snprintf(how, sizeof(how), "exited with code %d", verdict->status);
		break;
	}
	if (usage->forks_refused > 0)
		(void)snprintf(forks, sizeof(forks), " (its limit of processes refused %llu more)",
		               (unsigned long long)usage->forks_refused);
	(void)snprintf(verdict->text, sizeof(verdict->text), "worker %u (pid %d) %s%s%s%s", index,
	               worker->process.pid, how, forks, *said != '\0' ? ": " : "", said);
}

void dx_verdict_make(const struct dx_worker *worker, const siginfo_t *info,
                     const struct dsmx_usage *usage, struct dx_verdict *ret_verdict)
{
	*ret_verdict = (struct dx_verdict){ .peer = worker->peer,
		                            .epoch = worker->epoch,
		                            .pid = worker->process.pid,
		                            .reason = find_reason(worker, info, usage),
		                            .status = info->si_status };
	describe(worker, usage, ret_verdict);
}

/* SPDX-License-Identifier: MIT */
/*
 * ps_screen.c - the terminal of `dsmx ps`: a text that is drawn anew, keys, a size that changes
 *
 * Sequences that every terminal has, and no library: nothing is chosen here, a text is drawn over the one before
 * it. What does not fit is cut, as a line that goes on in the next row would push the first ones out of sight.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "ps.h"

/* Set by the handlers, read by the main flow. */
static volatile sig_atomic_t interrupted, resized, stopped;
static struct termios before;
static sigset_t unblocked;

static void on_signal(int sig)
{
	if (sig == SIGWINCH)
		resized = 1;
	else if (sig == SIGTSTP)
		stopped = 1;
	else
		interrupted = sig;
}

/* Keys without a line's end, on a screen of its own. */
static bool enter(void)
{
	struct termios raw = before;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0)
		return false;
	fputs("\033[?1049h\033[?25l", stdout);
	return true;
}

static void leave(void)
{
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

bool ps_screen_open(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP };
	struct sigaction action = { .sa_handler = on_signal };
	const char *term = getenv("TERM");
	sigset_t blocked;

	if (isatty(STDIN_FILENO) != 1 || isatty(STDOUT_FILENO) != 1 || term == NULL ||
	    term[0] == '\0' || strcmp(term, "dumb") == 0 || tcgetattr(STDIN_FILENO, &before) != 0)
		return false;
	(void)sigemptyset(&blocked);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		(void)sigaction(signals[i], &action, NULL);
		(void)sigaddset(&blocked, signals[i]);
	}
	(void)sigprocmask(SIG_BLOCK, &blocked, &unblocked);
	return enter();
}

int ps_screen_close(void)
{
	leave();
	return interrupted;
}

/* At most @columns characters of a line; a character of UTF-8 is its first byte and those of the form 10xxxxxx. */
static size_t cut(const char *line, size_t len, unsigned columns)
{
	unsigned at = 0;

	for (size_t i = 0; i < len; i++)
		if (((unsigned char)line[i] & 0xc0) != 0x80 && at++ == columns)
			return i;
	return len;
}

void ps_screen_draw(const char *text)
{
	struct winsize size = { 0 };
	unsigned rows = 24, columns = 80, row = 0;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
		rows = size.ws_row;
		columns = size.ws_col;
	}
	fputs("\033[H", stdout);
	for (const char *line = text; *line != '\0' && row < rows; row++) {
		size_t len = strcspn(line, "\n");
		const char *next = line + len + (line[len] == '\n');

		if (row + 1 == rows && *next != '\0') { /* more than there is room for */
			line = "...";
			len = 3;
		}
		printf("%s%.*s\033[K", row > 0 ? "\r\n" : "", (int)cut(line, len, columns), line);
		line = next;
	}
	fputs("\033[J", stdout);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* Ctrl-Z: the shell gets its own screen back, and we ours when we go on. */
static void stop(void)
{
	stopped = 0;
	leave();
	(void)raise(SIGSTOP);
	(void)enter();
}

/* Signals come in here alone, so none is missed between a look at its flag and the wait. */
enum ps_key ps_screen_wait(uint64_t ms, bool live)
{
	struct pollfd in = { .fd = live ? STDIN_FILENO : -1, .events = POLLIN };
	uint64_t end_ns = now_ns() + ms * 1000000U;

	for (;;) {
		uint64_t at_ns = now_ns(), left_ns = end_ns > at_ns ? end_ns - at_ns : 0;
		struct timespec left = { .tv_sec = (time_t)(left_ns / 1000000000U),
			                 .tv_nsec = (long)(left_ns % 1000000000U) };
		char key = 0;
		int r;

		if (interrupted)
			return PS_QUIT;
		if (stopped)
			stop();
		if (resized) {
			resized = 0;
			return PS_DRAW;
		}
		if (left_ns == 0)
			return PS_LOOK;
		r = ppoll(&in, 1, &left, live ? &unblocked : NULL);
		if (r > 0 && (read(STDIN_FILENO, &key, 1) != 1 || key == 'q'))
			return PS_QUIT;
	}
}

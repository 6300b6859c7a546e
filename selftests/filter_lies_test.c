/* SPDX-License-Identifier: MIT */
/*
 * filter_lies_test.c - a worker that lies in the filters which its joins send
 *
 *	probe ── shuffle ──┐
 *	build ── liar ── shuffle ── join ── stamp ── gather ── here
 *
 * A thread of worker 0 waits for the StartStream by which the join there asks worker 1 for probe rows, and writes other
 * bytes where its filters lie, which worker 0 alone can write. That they come in time is no matter of luck: the last
 * build rows of worker 0 wait until worker 1 has sent all of its own and stands still, and it goes on when the bytes are
 * changed.
 *
 * A filter that drops too much costs the rows of the liar's own partition, which it could have dropped anyway; one that
 * breaks the rules is refused by its reader. Nothing else happens to anybody.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#include "chan/layout.h"
#include "engine.h"

#define BUILD_ROWS 4000U
#define PROBE_ROWS 40000U
#define NONSENSES  7
#define NUMBERS    9
#define VALUES     8

enum lie {
	HONEST,
	DROPS,    /* no bit, no range: every row is to be dropped */
	NONSENSE, /* a number that breaks the rules */
	ANYTHING, /* one number is another, and the bits are any */
};

/* In the plan. */
struct liar_bytes {
	int32_t lie;
	int32_t turn; /* the how manieth */
	int32_t victim;
	int32_t query;  /* the how manieth of its session */
	char told[500]; /* a byte is appended for each lie */
	char kept[500]; /* ANYTHING: what it was */
};

/* --- the liar: in worker 0 ----------------------------------------------------------------------------------------- */

struct liar {
	struct liar_bytes is;
	struct dsmx_page_abi *page;
	const struct dsmx_page_abi *victim;
	char *data;
	struct dx_layout layout;
	uint64_t query;
};

/* The own segments can be written, the peers' cannot. */
static bool find_segments(struct liar *l)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512], rights[8];
	unsigned long from, to;

	while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
		const struct dsmx_page_abi *page;

		if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) != 3)
			continue;
		memcpy(&page, &from, sizeof(page));
		if (strstr(line, "memfd:dsmx-data") != NULL && rights[1] == 'w')
			memcpy(&l->data, &from, sizeof(from));
		else if (strstr(line, "memfd:dsmx-page") == NULL)
			continue;
		else if (rights[1] == 'w')
			memcpy(&l->page, &from, sizeof(from));
		else if (page->pid == (uint32_t)l->is.victim)
			l->victim = page;
	}
	if (maps != NULL)
		(void)fclose(maps);
	if (l->page == NULL || l->data == NULL || l->victim == NULL)
		return false;
	l->layout = dx_layout(l->page->peers, l->page->slots, l->page->frames, l->page->tasks);
	return true;
}

/*
 * The thread looks at, and writes, what the process has by right to itself. The thread sanitizer is not to tell us so:
 * it is what a hostile worker does.
 */
#define HOSTILE __attribute__((no_sanitize("thread")))

struct seen {
	uint64_t word, answer;
	const struct dsmx_request_abi *request;
};

/* What worker 0 asks a peer for in a slot, and what was answered. */
HOSTILE static struct seen see(const struct liar *l, const struct dsmx_page_abi *peer,
                               uint32_t slot)
{
	size_t own = dx_layout_slot(&l->layout, peer->peer, slot);
	size_t theirs = dx_layout_slot(&l->layout, l->page->peer, slot);

	return (struct seen){
		.word = dx_load_acquire(
			DX_EDGE_REQUEST,
			DX_LAYOUT_PEER(uint64_t, l->page, l->layout.request_words, own)),
		.answer = dx_load_acquire(
			DX_EDGE_STREAM,
			DX_LAYOUT_PEER(uint64_t, peer, l->layout.stream_words, theirs)),
		.request =
			DX_LAYOUT_PEER(struct dsmx_request_abi, l->page, l->layout.requests, own),
	};
}

/* The join reads what this process builds for itself, too: that is what runs now. */
HOSTILE static bool find_query(struct liar *l)
{
	for (uint32_t slot = 0; slot < l->layout.slots && l->query == 0; slot++) {
		struct seen s = see(l, l->page, slot);

		if (DSMX_WORD_STATE(s.word) == DSMX_REQUEST_START)
			l->query = s.request->query;
	}
	return l->query != 0;
}

/* The numbers of the header, and of the one filter behind it. */
static uint32_t *number_of(char *bytes, int32_t turn)
{
	struct dsmx_filters_abi *head = (void *)bytes;
	struct dsmx_filter_abi *filter = (void *)(head + 1);
	uint32_t *const numbers[NUMBERS] = {
		&head->magic,       &head->filters,      &head->bytes,
		&filter->key_count, &filter->columns[0], &filter->columns[1],
		&filter->ranged,    &filter->words,      &filter->word_count,
	};

	return numbers[turn % NUMBERS];
}

/* For the test: what was read. */
static void keep_bytes(const char *path, const char *bytes, uint64_t len)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len || close(fd) != 0)
		abort();
}

/*
 * The bits first, then the number, in one store: what is read has it or has not. What it will be is kept before: this
 * process reads its filter, too, and the query may end of that.
 */
HOSTILE static void write_anything(const struct liar_bytes *is, char *bytes, uint64_t len)
{
	uint64_t chance = (uint64_t)is->turn + 1;
	char *copy = malloc(len);
	uint32_t now, words;

	if (copy == NULL)
		abort();
	memcpy(copy, bytes, len);
	words = ((struct dsmx_filter_abi *)(void *)(copy + sizeof(struct dsmx_filters_abi)))->words;
	now = *number_of(copy, is->turn);

	const uint32_t values[VALUES] = {
		0,        now - 1,  now + 1,    now / 2,
		now - 64, now + 64, UINT32_MAX, (uint32_t)rows_random(&chance),
	};

	for (uint64_t i = words; i < len; i++)
		copy[i] = (char)rows_random(&chance);
	*number_of(copy, is->turn) = values[is->turn / NUMBERS % VALUES];
	keep_bytes(is->kept, copy, len);
	memcpy(bytes + words, copy + words, len - words);
	dx_store_plain(number_of(bytes, is->turn), *number_of(copy, is->turn));
	free(copy);
}

HOSTILE static void write_lie(const struct liar *l, const struct dsmx_request_abi *request)
{
	char *bytes = l->data + request->filter_offset;
	struct dsmx_filters_abi *head = (void *)bytes;
	struct dsmx_filter_abi *filter = (void *)(head + 1);

	if (l->is.lie == ANYTHING)
		write_anything(&l->is, bytes, request->filter_bytes);
	if (l->is.lie == DROPS) {
		for (uint32_t i = 0; i < filter->word_count; i++)
			dx_store_plain((uint64_t *)(void *)(bytes + filter->words) + i, 0);
		for (size_t i = 0; i < DSMX_FILTER_KEYS_MAX; i++) {
			filter->least[i] = INT64_MAX;
			filter->greatest[i] = INT64_MIN;
		}
	}
	if (l->is.lie != NONSENSE)
		return;
	switch (l->is.turn % NONSENSES) {
	case 0:
		head->magic++;
		break;
	case 1:
		head->filters = UINT32_MAX;
		break;
	case 2:
		head->bytes += 64;
		break;
	case 3:
		filter->key_count = DSMX_FILTER_KEYS_MAX + 1;
		break;
	case 4:
		filter->columns[0] = 77;
		break;
	case 5:
		filter->words = 1U << 31;
		break;
	default:
		filter->word_count = UINT32_MAX;
		break;
	}
}

static void append(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, "x", 1) != 1 || close(fd) != 0)
		abort();
}

/* Stopped, it answers nothing, and whatever it has not answered it has not read. */
static bool stop_victim(const struct liar *l)
{
	if (kill(l->is.victim, SIGSTOP) != 0)
		return false;
	while (harness_state_of(l->is.victim) != 'T')
		(void)sched_yield();
	return true;
}

/* The last query whose victim stands still, or for which the thread has given up. */
static _Atomic int32_t go_on;

/* The build rows of the victim are all here, then it is asked with filters. False: not yet. */
HOSTILE static bool lie_once(struct liar *l)
{
	for (uint32_t slot = 0; slot < l->layout.slots; slot++) {
		struct seen s = see(l, l->victim, slot);

		if (s.request->query != l->query)
			continue;
		if (s.request->filter_bytes == 0 && go_on < l->is.query &&
		    s.answer == DSMX_WORD(DSMX_WORD_GENERATION(s.word), DSMX_STREAM_FIN) &&
		    stop_victim(l))
			go_on = l->is.query;
		if (s.request->filter_bytes == 0 || go_on < l->is.query ||
		    DSMX_WORD_STATE(s.word) != DSMX_REQUEST_START)
			continue;
		append(l->is.told); /* before: this process reads its filter, too, and the query may end of that */
		write_lie(l, s.request);
		return true;
	}
	return false;
}

static void *lie(void *arg)
{
	struct liar *l = arg;
	uint64_t until_ns = dx_now_ns() + 10 * DX_NS_PER_S;

	while (dx_now_ns() < until_ns && !(find_query(l) && lie_once(l)))
		(void)usleep(20);
	go_on = l->is.query;
	(void)kill(l->is.victim, SIGCONT);
	free(l);
	return NULL;
}

/* Rows pass as they are, the liar's last ones when he is ready for it. */
static int pass_next(struct dsmx_stream *stream, struct dsmx_cx *cx, struct dsmx_batch *ret_batch)
{
	struct pipe_stream *s = (struct pipe_stream *)stream;
	const struct liar_bytes *is = pipe_bytes(s);
	int r = s->inputs[0]->ops->poll_next(s->inputs[0], cx, ret_batch);

	if (r != 0 || is->lie == HONEST || is->victim == getpid() || go_on >= is->query)
		return r;
	(void)usleep(20);
	dsmx_cx_yield(cx);
	return -EAGAIN;
}

static int liar_make(const void *bytes, size_t len, const struct dsmx_schema *output,
                     struct dsmx_operator **inputs, uint32_t input_count,
                     struct dsmx_operator **ret_operator, struct dsmx_error *err)
{
	static const struct pipe_kind kind =
		PIPE_KIND("Liar", pass_next, 1, sizeof(struct liar_bytes));
	struct liar *l = calloc(1, sizeof(*l));
	pthread_t thread;

	if (l == NULL ||
	    pipe_make(&kind, bytes, len, output, inputs, input_count, ret_operator) != 0)
		abort();
	memcpy(&l->is, bytes, len);
	if (l->is.lie == HONEST || l->is.victim == getpid()) {
		free(l);
	} else if (!find_segments(l) || pthread_create(&thread, NULL, lie, l) != 0 ||
	           pthread_detach(thread) != 0) {
		free(*ret_operator);
		return dx_error(err, -ENOENT, "the segments are not where they should be");
	}
	return 0;
}

static const struct dsmx_extension own[] = { { "liar", liar_make },
	                                     { "stamp", stamp_make },
	                                     { NULL, NULL } };

/* --- the leader ------------------------------------------------------------------------------------------------------ */

enum { KEY, SEQ, BUILD_KEY, BUILD_SEQ, TASK, NUMBER };

static const struct dsmx_field fields[] = {
	{ "key", { DSMX_INT64, 0, 0, 0 }, false },
	{ "seq", { DSMX_INT64, 0, 0, 0 }, false },
};

/* Rows 0, @step, 2 * @step ... */
static void make_file(const char *name, uint32_t rows, int64_t step)
{
	struct table table = table_new(fields, 2);
	uint64_t chance = 1;

	while (table.rows < rows) {
		struct value *row = table_add(&table);

		row[0] = row[1] = (struct value){ .i = (table.rows - 1) * step };
	}
	file_write(name, &table, 1000, NULL, &chance);
	table_free(&table);
}

struct test {
	struct dsmx_session *session;
	struct liar_bytes bytes;
	struct table honest; /* what a run without a lie gives */
};

static struct dsmx_plan *plan_of(const struct liar_bytes *bytes)
{
	const uint32_t key = KEY;
	struct dsmx_plan *plan = plan_new();
	struct dsmx_rel *build = rel_file(plan, "build"), *join;
	struct dsmx_joinscan_side left = { rel_file(plan, "probe"), &key, 1, false };
	struct dsmx_joinscan_side right = { NULL, &key, 1, false };

	right.rel = dsmx_rel_extension(plan, "liar", bytes, sizeof(*bytes), dsmx_rel_schema(build),
	                               &build, 1);
	join = dsmx_rel_joinscan(plan, DSMX_JOIN_INNER, &left, &right);
	if (plan_end(plan, rel_gather(plan, rel_stamp(plan, join)), 2) != 0)
		abort();
	return plan;
}

static struct outcome run(struct test *t, enum lie lie, int turn, struct table *ret_rows)
{
	struct dsmx_plan *plan;
	struct outcome o;

	t->bytes.query++;
	t->bytes.lie = (int32_t)lie;
	t->bytes.turn = turn;
	t->bytes.victim = dsmx_session_worker_pid(t->session, 1);
	plan = plan_of(&t->bytes);
	*ret_rows = (struct table){ .rows = 0 };
	o = run_plan(t->session, plan, ret_rows);
	dsmx_plan_free(plan);
	/* In the same order as those of another run: what a row was there is not the same. */
	for (uint32_t i = 0; i < ret_rows->rows; i++)
		table_at(ret_rows, i, NUMBER)->i = 0;
	return o;
}

static int by_key(const void *a, const void *b)
{
	const struct value *x = a, *y = b;

	return (x[KEY].i > y[KEY].i) - (x[KEY].i < y[KEY].i);
}

static void sort_rows(struct table *t)
{
	if (t->rows > 0)
		qsort(t->values, t->rows, (NUMBER + 1) * sizeof(struct value), by_key);
}

static void begin(bool *ok, struct test *t)
{
	struct dsmx_session_options options = options_of(2, NULL);

	options.extensions = own;
	options.watchdog_ms = DSMX_WATCHDOG_OFF; /* one of them is stopped on purpose */
	make_file("build", BUILD_ROWS, 10);
	make_file("probe", PROBE_ROWS, 1);
	*t = (struct test){ .session = open_engine(&options) };
	CHECK(t->session != NULL);
	(void)unlink(file_path("told", t->bytes.told, sizeof(t->bytes.told)));
	(void)file_path("kept", t->bytes.kept, sizeof(t->bytes.kept));
	CHECK_EQ(run(t, HONEST, 0, &t->honest).code, 0);
	CHECK_EQ(t->honest.rows, BUILD_ROWS);
	sort_rows(&t->honest);
}

static off_t lies_told(const struct test *t)
{
	struct stat st;

	return stat(t->bytes.told, &st) == 0 ? st.st_size : 0;
}

/* No worker has gone, and the next query has all its rows. */
static void end(bool *ok, struct test *t)
{
	struct table rows;

	CHECK_EQ(run(t, HONEST, 0, &rows).code, 0);
	CHECK_EQ(rows.rows, BUILD_ROWS);
	table_free(&rows);
	for (uint32_t i = 0; i < 2; i++) {
		struct dsmx_worker_info info;

		CHECK_EQ(dsmx_session_worker(t->session, i, &info), 0);
		CHECK_EQ(info.restarts, 0);
		CHECK(dsmx_session_worker_pid(t->session, i) > 0);
	}
	table_free(&t->honest);
	dsmx_session_close(t->session);
}

/* Rows are some of the honest ones, and all of those that are worker 1's. Returns how many of worker 0's are not there. */
static uint32_t count_lost(bool *ok, const struct test *t, struct table *rows)
{
	uint32_t at = 0, lost = 0;

	sort_rows(rows);
	for (uint32_t i = 0; i < t->honest.rows; i++) {
		const struct value *want = table_at(&t->honest, i, 0);

		if (at < rows->rows && table_at(rows, at, KEY)->i == want[KEY].i) {
			*ok = *ok && table_at(rows, at, TASK)->i == want[TASK].i;
			at++;
			continue;
		}
		*ok = *ok && want[TASK].i == 0;
		lost++;
	}
	*ok = *ok && at == rows->rows;
	return lost;
}

TEST(filter_lies_drops,
     "a filter that drops what it should not costs rows of the liar's partition, and no other")
{
	struct test t;

	begin(ok, &t);
	for (int i = 0; i < 3 && *ok; i++) {
		struct table rows;

		CHECK_EQ(run(&t, DROPS, i, &rows).code, 0);
		CHECK(count_lost(ok, &t, &rows) > 0);
		CHECK_EQ(lies_told(&t), i + 1);
		table_free(&rows);
	}
	end(ok, &t);
}

TEST(filter_lies_nonsense,
     "one that breaks the rules is refused by its reader: the query fails by -EBADMSG, nobody dies")
{
	struct test t;

	begin(ok, &t);
	for (int i = 0; i < NONSENSES && *ok; i++) {
		struct table rows;
		struct outcome o = run(&t, NONSENSE, i, &rows);

		CHECK_EQ(lies_told(&t), i + 1);
		CHECK_EQ(o.code, -EBADMSG);
		CHECK(strstr(o.error.message, "the filter of partition 0") != NULL);
		table_free(&rows);
	}
	end(ok, &t);
}

/* The rules of abi.h, for what the liar has kept. The rows have two columns, both of numbers. */
static bool is_legal(const char *bytes, size_t len)
{
	struct dsmx_filters_abi head;
	struct dsmx_filter_abi f;

	memcpy(&head, bytes, sizeof(head));
	if (head.magic != DSMX_FILTERS_MAGIC || head.bytes != len || head.filters < 1 ||
	    head.filters > DSMX_FILTERS_MAX || sizeof(head) + head.filters * sizeof(f) > len)
		return false;
	for (uint32_t i = 0; i < head.filters; i++) {
		memcpy(&f, bytes + sizeof(head) + i * sizeof(f), sizeof(f));
		if (f.key_count < 1 || f.key_count > DSMX_FILTER_KEYS_MAX || f.words % 64 != 0 ||
		    f.words + 8ULL * f.word_count > len || f.ranged >= 1U << f.key_count)
			return false;
		for (uint32_t k = 0; k < f.key_count; k++)
			if (f.columns[k] > SEQ)
				return false;
	}
	return true;
}

static bool told_legal(const struct test *t)
{
	static char bytes[DSMX_FILTER_BYTES_MAX];
	int fd = open(t->bytes.kept, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));

	if (len < (ssize_t)(sizeof(struct dsmx_filters_abi) + sizeof(struct dsmx_filter_abi)) ||
	    close(fd) != 0)
		abort();
	return is_legal(bytes, (size_t)len);
}

/* That a text has no range is not to be seen here, as there is no text: that is filter_hostile's. */
TEST(filter_lies_anything,
     "whatever a number of it is: rows of the liar's partition are lost, or it breaks a rule and is refused")
{
	int legal = 0, refused = 0;
	struct test t;

	begin(ok, &t);
	for (int i = 0; i < NUMBERS * VALUES && *ok; i++) {
		struct table rows;
		struct outcome o = run(&t, ANYTHING, i, &rows);
		bool is = told_legal(&t);

		CHECK_EQ(lies_told(&t), i + 1);
		if (o.code != (is ? 0 : -EBADMSG))
			printf("# turn %d, number %d, value %d: %d %s\n", i, i % NUMBERS,
			       i / NUMBERS, o.code, o.error.message);
		CHECK_EQ(o.code, is ? 0 : -EBADMSG);
		if (o.code == 0)
			(void)count_lost(ok, &t, &rows);
		legal += is;
		refused += !is;
		table_free(&rows);
	}
	printf("# %d legal, %d refused\n", legal, refused);
	CHECK(legal > 5 && refused > 20);
	end(ok, &t);
}

int main(int argc, char **argv)
{
	return own_engine_main(argc, argv, own);
}

/* SPDX-License-Identifier: MIT */
/*
 * gen_text.c - words and comments, after TPC-H 4.2.2
 *
 * A comment is a piece cut from anywhere in one long text, which the grammar below makes once: sentences of noun,
 * verb and prepositional phrases, their words chosen by weight.
 */
#include <stdio.h>
#include <string.h>

#include "gen.h"
#include "lib/mem.h"

#define LIST(...)                                                                                  \
	{                                                                                          \
		sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *), (const char *[])         \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

const struct gen_list gen_segments =
	LIST("AUTOMOBILE", "BUILDING", "FURNITURE", "MACHINERY", "HOUSEHOLD");
const struct gen_list gen_priorities =
	LIST("1-URGENT", "2-HIGH", "3-MEDIUM", "4-NOT SPECIFIED", "5-LOW");
const struct gen_list gen_instructions =
	LIST("DELIVER IN PERSON", "COLLECT COD", "NONE", "TAKE BACK RETURN");
const struct gen_list gen_modes = LIST("REG AIR", "AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB");
const struct gen_list gen_returns = LIST("A", "N", "R");
const struct gen_list gen_statuses = LIST("F", "O", "P");
const struct gen_list gen_type_1 = LIST("STANDARD", "SMALL", "MEDIUM", "LARGE", "ECONOMY", "PROMO");
const struct gen_list gen_type_2 = LIST("ANODIZED", "BURNISHED", "PLATED", "POLISHED", "BRUSHED");
const struct gen_list gen_type_3 = LIST("TIN", "NICKEL", "BRASS", "STEEL", "COPPER");
const struct gen_list gen_container_1 = LIST("SM", "LG", "MED", "JUMBO", "WRAP");
const struct gen_list gen_container_2 =
	LIST("CASE", "BOX", "BAG", "JAR", "PKG", "PACK", "CAN", "DRUM");
const struct gen_list gen_colors =
	LIST("almond", "antique", "aquamarine", "azure", "beige", "bisque", "black", "blanched",
             "blue", "blush", "brown", "burlywood", "burnished", "chartreuse", "chiffon",
             "chocolate", "coral", "cornflower", "cornsilk", "cream", "cyan", "dark", "deep", "dim",
             "dodger", "drab", "firebrick", "floral", "forest", "frosted", "gainsboro", "ghost",
             "goldenrod", "green", "grey", "honeydew", "hot", "indian", "ivory", "khaki", "lace",
             "lavender", "lawn", "lemon", "light", "lime", "linen", "magenta", "maroon", "medium",
             "metallic", "midnight", "mint", "misty", "moccasin", "navajo", "navy", "olive",
             "orange", "orchid", "pale", "papaya", "peach", "peru", "pink", "plum", "powder",
             "puff", "purple", "red", "rose", "rosy", "royal", "saddle", "salmon", "sandy",
             "seashell", "sienna", "sky", "slate", "smoke", "snow", "spring", "steel", "tan",
             "thistle", "tomato", "turquoise", "violet", "wheat", "white", "yellow");

/* --- the grammar ----------------------------------------------------------------------------------------- */

struct weighted {
	const char *word;
	uint32_t weight;
};

struct words {
	const struct weighted *list;
	uint32_t count, total;
};

static const struct weighted nouns[] = {
	{ "packages", 40 },     { "requests", 40 },    { "accounts", 40 },
	{ "deposits", 40 },     { "foxes", 20 },       { "ideas", 20 },
	{ "theodolites", 20 },  { "pinto beans", 20 }, { "instructions", 20 },
	{ "dependencies", 10 }, { "excuses", 10 },     { "platelets", 10 },
	{ "asymptotes", 10 },   { "courts", 5 },       { "dolphins", 5 },
	{ "multipliers", 1 },   { "sauternes", 1 },    { "warthogs", 1 },
	{ "frets", 1 },         { "dinos", 1 },        { "attainments", 1 },
	{ "somas", 1 },         { "Tiresias", 1 },     { "patterns", 1 },
	{ "forges", 1 },        { "braids", 1 },       { "hockey players", 1 },
	{ "frays", 1 },         { "warhorses", 1 },    { "dugouts", 1 },
	{ "notornis", 1 },      { "epitaphs", 1 },     { "pearls", 1 },
	{ "tithes", 1 },        { "waters", 1 },       { "orbits", 1 },
	{ "gifts", 1 },         { "sheaves", 1 },      { "depths", 1 },
	{ "sentiments", 1 },    { "decoys", 1 },       { "realms", 1 },
	{ "pains", 1 },         { "grouches", 1 },     { "escapades", 1 },
};
static const struct weighted verbs[] = {
	{ "sleep", 20 },    { "wake", 20 },    { "are", 20 },   { "cajole", 20 }, { "haggle", 20 },
	{ "nag", 10 },      { "use", 10 },     { "boost", 10 }, { "affix", 5 },   { "detect", 5 },
	{ "integrate", 5 }, { "maintain", 1 }, { "nod", 1 },    { "was", 1 },     { "lose", 1 },
	{ "sublate", 1 },   { "solve", 1 },    { "thrash", 1 }, { "promise", 1 }, { "engage", 1 },
	{ "hinder", 1 },    { "print", 1 },    { "x-ray", 1 },  { "breach", 1 },  { "eat", 1 },
	{ "grow", 1 },      { "impress", 1 },  { "mold", 1 },   { "poach", 1 },   { "serve", 1 },
	{ "run", 1 },       { "dazzle", 1 },   { "snooze", 1 }, { "doze", 1 },    { "unwind", 1 },
	{ "kindle", 1 },    { "play", 1 },     { "hang", 1 },   { "believe", 1 }, { "doubt", 1 },
};
static const struct weighted adjectives[] = {
	{ "regular", 50 }, { "final", 40 },    { "ironic", 40 },  { "even", 30 },
	{ "bold", 20 },    { "special", 20 },  { "pending", 20 }, { "unusual", 20 },
	{ "express", 20 }, { "silent", 10 },   { "furious", 1 },  { "sly", 1 },
	{ "careful", 1 },  { "blithe", 1 },    { "quick", 1 },    { "fluffy", 1 },
	{ "slow", 1 },     { "quiet", 1 },     { "ruthless", 1 }, { "thin", 1 },
	{ "close", 1 },    { "dogged", 1 },    { "daring", 1 },   { "brave", 1 },
	{ "stealthy", 1 }, { "permanent", 1 }, { "enticing", 1 }, { "idle", 1 },
	{ "busy", 1 },
};
static const struct weighted adverbs[] = {
	{ "slyly", 50 },     { "carefully", 50 }, { "furiously", 50 },  { "blithely", 40 },
	{ "quickly", 30 },   { "fluffily", 20 },  { "sometimes", 1 },   { "always", 1 },
	{ "never", 1 },      { "slowly", 1 },     { "quietly", 1 },     { "ruthlessly", 1 },
	{ "thinly", 1 },     { "closely", 1 },    { "doggedly", 1 },    { "daringly", 1 },
	{ "bravely", 1 },    { "stealthily", 1 }, { "permanently", 1 }, { "enticingly", 1 },
	{ "idly", 1 },       { "busily", 1 },     { "regularly", 1 },   { "finally", 1 },
	{ "ironically", 1 }, { "evenly", 1 },     { "boldly", 1 },      { "silently", 1 },
};
static const struct weighted prepositions[] = {
	{ "about", 50 },
	{ "above", 50 },
	{ "according to", 50 },
	{ "across", 50 },
	{ "after", 50 },
	{ "against", 40 },
	{ "along", 40 },
	{ "alongside of", 30 },
	{ "among", 30 },
	{ "around", 20 },
	{ "at", 10 },
	{ "atop", 1 },
	{ "before", 1 },
	{ "behind", 1 },
	{ "beneath", 1 },
	{ "beside", 1 },
	{ "besides", 1 },
	{ "between", 1 },
	{ "beyond", 1 },
	{ "by", 1 },
	{ "despite", 1 },
	{ "during", 1 },
	{ "except", 1 },
	{ "for", 1 },
	{ "from", 1 },
	{ "in place of", 1 },
	{ "inside", 1 },
	{ "instead of", 1 },
	{ "into", 1 },
	{ "near", 1 },
	{ "of", 1 },
	{ "on", 1 },
	{ "outside", 1 },
	{ "over", 1 },
	{ "past", 1 },
	{ "since", 1 },
	{ "through", 1 },
	{ "throughout", 1 },
	{ "to", 1 },
	{ "toward", 1 },
	{ "under", 1 },
	{ "until", 1 },
	{ "up", 1 },
	{ "upon", 1 },
	{ "without", 1 },
	{ "with", 1 },
	{ "within", 1 },
};
static const struct weighted auxiliaries[] = {
	{ "do", 1 },
	{ "may", 1 },
	{ "might", 1 },
	{ "shall", 1 },
	{ "will", 1 },
	{ "would", 1 },
	{ "can", 1 },
	{ "could", 1 },
	{ "should", 1 },
	{ "ought to", 1 },
	{ "must", 1 },
	{ "will have to", 1 },
	{ "shall have to", 1 },
	{ "could have to", 1 },
	{ "should have to", 1 },
	{ "must have to", 1 },
	{ "need to", 1 },
	{ "try to", 1 },
};
static const struct weighted ends[] = {
	{ ".", 50 }, { ";", 1 }, { ":", 1 }, { "?", 1 }, { "!", 1 }, { "--", 1 },
};

/* Phrases: N noun, V verb, J adjective, D adverb, P preposition, X auxiliary, a comma; the rest is themselves. */
static const struct weighted sentences[] = {
	{ "nvT", 3 }, { "nvpT", 3 }, { "nvnT", 3 }, { "npvnT", 1 }, { "npvpT", 1 },
};
static const struct weighted noun_phrases[] = {
	{ "N", 10 },
	{ "JN", 20 },
	{ "J,JN", 10 },
	{ "DJN", 50 },
};
static const struct weighted verb_phrases[] = {
	{ "V", 30 },
	{ "XV", 1 },
	{ "VD", 40 },
	{ "XVD", 1 },
};

struct pool {
	const struct gen *gen;
	char *text;
	size_t used;
	uint64_t drawn;
};

static const char *draw(struct pool *pool, const struct weighted *list, size_t count)
{
	int64_t total = 0, at;

	for (size_t i = 0; i < count; i++)
		total += list[i].weight;
	at = gen_range(pool->gen, GEN_POOL, pool->drawn++, 0, total - 1);
	for (size_t i = 0; i < count; i++) {
		at -= list[i].weight;
		if (at < 0)
			return list[i].word;
	}
	return "";
}

#define DRAW(pool, list) draw((pool), (list), sizeof(list) / sizeof((list)[0]))

/* Words are separated by a blank, but for what ends something. */
static void add(struct pool *pool, const char *word, bool close)
{
	size_t len = strlen(word);

	if (pool->used + len + 1 > GEN_POOL_BYTES) {
		pool->used = GEN_POOL_BYTES;
		return;
	}
	if (!close && pool->used > 0)
		pool->text[pool->used++] = ' ';
	memcpy(pool->text + pool->used, word, len);
	pool->used += len;
}

static void add_words(struct pool *pool, const char *phrase)
{
	for (; *phrase != 0; phrase++) {
		switch (*phrase) {
		case 'N':
			add(pool, DRAW(pool, nouns), false);
			break;
		case 'V':
			add(pool, DRAW(pool, verbs), false);
			break;
		case 'J':
			add(pool, DRAW(pool, adjectives), false);
			break;
		case 'D':
			add(pool, DRAW(pool, adverbs), false);
			break;
		case 'X':
			add(pool, DRAW(pool, auxiliaries), false);
			break;
		default:
			add(pool, ",", true);
			break;
		}
	}
}

static void add_sentence(struct pool *pool)
{
	for (const char *part = DRAW(pool, sentences); *part != 0; part++) {
		switch (*part) {
		case 'n':
			add_words(pool, DRAW(pool, noun_phrases));
			break;
		case 'v':
			add_words(pool, DRAW(pool, verb_phrases));
			break;
		case 'p':
			add(pool, DRAW(pool, prepositions), false);
			add(pool, "the", false);
			add_words(pool, DRAW(pool, noun_phrases));
			break;
		default:
			add(pool, DRAW(pool, ends), true);
			break;
		}
	}
}

char *gen_pool_new(const struct gen *gen)
{
	struct pool pool = { .gen = gen, .text = mem_alloc(GEN_POOL_BYTES + 1) };

	memset(pool.text, ' ', GEN_POOL_BYTES);
	while (pool.used < GEN_POOL_BYTES)
		add_sentence(&pool);
	return pool.text;
}

/* --- what columns take ------------------------------------------------------------------------------------ */

const char *gen_comment(const struct gen *gen, unsigned int stream, uint64_t row, uint32_t least,
                        uint32_t most, size_t *ret_len)
{
	uint64_t random = gen_random(gen, stream, row);

	/* The product of the first draw leaves its low bits for the second. */
	*ret_len = (size_t)gen_scale(random, least, most);
	random *= most - least + 1;
	return gen->pool + gen_scale(random, 0, GEN_POOL_BYTES - most - 1);
}

size_t gen_string(const struct gen *gen, unsigned int stream, uint64_t row, uint32_t least,
                  uint32_t most, char *text)
{
	static const char letters[] =
		"0123456789abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ,";
	size_t len = (size_t)gen_range(gen, stream, 8 * row, least, most);
	uint64_t random = 0;

	for (size_t i = 0; i < len; i++, random >>= 6) {
		if (i % 10 == 0)
			random = gen_random(gen, stream, 8 * row + 1 + i / 10);
		text[i] = letters[random & 63];
	}
	return len;
}

static char *put_digits(char *text, uint64_t number, int count)
{
	for (int i = count; i-- > 0; number /= 10)
		text[i] = (char)('0' + number % 10);
	return text + count;
}

size_t gen_numbered(const char *prefix, uint64_t number, char *text)
{
	char *at = stpcpy(text, prefix);

	return (size_t)(put_digits(at, number, 9) - text);
}

size_t gen_phone(const struct gen *gen, unsigned int stream, uint64_t row, int64_t nation,
                 char *text)
{
	uint64_t random = gen_random(gen, stream, row);
	char *at = put_digits(text, (uint64_t)nation + 10, 2);

	*at++ = '-';
	at = put_digits(at, 100 + (random & 0xffff) % 900, 3);
	*at++ = '-';
	at = put_digits(at, 100 + (random >> 16 & 0xffff) % 900, 3);
	*at++ = '-';
	at = put_digits(at, 1000 + (random >> 32) % 9000, 4);
	return (size_t)(at - text);
}

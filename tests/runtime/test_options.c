/* The command line: parsing, refusals with their exit status, and that help, man page and
 * completions know every command and every option of the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "runtime/options.h"

static Diag *d;
static Arena *a;

static int setup(void **state)
{
    (void)state;
    d = diag_new();
    a = arena_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    diag_free(d);
    arena_free(a);
    return 0;
}

/* Parses "rtc LINE", cut at single spaces; NULL when it is refused. */
static Options *parse(const char *line)
{
    char *argv[32] = {"rtc"}, *text = arena_strdup(a, line);
    int argc = 1;
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) argv[argc++] = word;
    Options *volatile o = NULL;
    DIAG_TRY(d) { o = options_parse(d, a, argc, argv); }
    DIAG_CATCH(d) { return NULL; }
    DIAG_END(d)
    return o;
}

static void expect_refusal(const char *line, int status, const char *why)
{
    if (parse(line)) fail_msg("`%s` accepted, though: %s", line, why);
    if (!strstr(diag_text(d), why)) fail_msg("`%s`: no `%s` in %s", line, why, diag_text(d));
    assert_int_equal(diag_status(d), status);
}

static void a_full_line(void **state)
{
    (void)state;
    Options *o = parse("train m.rt --data a b c --out=run --steps 20 --set depth=4 --resume "
                       "--set=heads=1,2 --seed 9007199254740993 -q --threads 2");
    assert_non_null(o);
    assert_int_equal(o->command, COMMAND_train);
    assert_int_equal(o->narguments, 1);
    assert_string_equal(o->arguments[0], "m.rt");
    assert_string_equal(options_text(o, OPTION_train_out), "run");
    assert_int_equal(options_integer(o, OPTION_train_steps), 20);
    assert_int_equal(options_integer(o, OPTION_seed), 9007199254740993);
    OptionValues data = options_values(o, OPTION_data), set = options_values(o, OPTION_set);
    assert_int_equal(data.n, 3);
    assert_string_equal(data.v[2], "c");
    assert_int_equal(set.n, 2);
    assert_string_equal(set.v[1], "heads=1,2");
    assert_true(options_given(o, OPTION_resume) && options_given(o, OPTION_quiet));
    assert_false(options_given(o, OPTION_verbose) || options_given(o, OPTION_json));
    assert_int_equal(options_integer(o, OPTION_batch), 8);
    assert_int_equal(options_integer(o, OPTION_time), -1);
}

static void values(void **state)
{
    (void)state;
    Options *o = parse("sample run --temperature 0.5 --temperature 1e-1 --prompt=--x --top-p .9");
    assert_true(options_number(o, OPTION_temperature) == 0.1);        /* the last one counts */
    assert_true(options_number(o, OPTION_top_p) == 0.9);
    assert_string_equal(options_text(o, OPTION_prompt), "--x");
    assert_string_equal(options_text(parse("sample run"), OPTION_prompt), "");
    assert_null(options_text(parse("run m.rt"), OPTION_in));
    o = parse("run m.rt --out o.safetensors --grad --train");
    assert_string_equal(options_text(o, OPTION_run_out), "o.safetensors");
    assert_true(options_given(o, OPTION_training) && !options_given(o, OPTION_bench_train));
    o = parse("opt -p a,b m.rt -oout.ir -- -odd");
    assert_null(o);                                                    /* two arguments */
    o = parse("opt -p a,b -oout.ir -- -odd");
    assert_string_equal(o->arguments[0], "-odd");
    assert_string_equal(options_text(o, OPTION_opt_output), "out.ir");
    assert_string_equal(options_text(o, OPTION_pipeline), "a,b");
    assert_int_equal(parse("opt --list")->narguments, 0);
    assert_string_equal(parse("check -")->arguments[0], "-");
}

static void help_comes_first(void **state)
{
    (void)state;
    static const char *const lines[] = {"train --help", "train -h", "train --steps x --help",
                                        "train --nonsense -h", "train a b c d --help"};
    for (int i = 0; i < COUNT(lines); i++) {
        Options *o = parse(lines[i]);
        assert_int_equal(o->command, COMMAND_help);
        assert_string_equal(o->arguments[0], "train");
    }
    assert_int_equal(parse("--help")->command, COMMAND_help);
    assert_int_equal(parse("-h")->narguments, 0);
    assert_int_equal(parse("help")->narguments, 0);
    assert_string_equal(parse("help run")->arguments[0], "run");
    assert_int_equal(parse("help --help")->narguments, 0);
    assert_int_equal(parse("--version")->command, COMMAND_version);
    assert_null(parse("check -- --help x"));
}

static void wrong_usage_is_status_2(void **state)
{
    (void)state;
    expect_refusal("", 2, "rtc needs a command");
    expect_refusal("trian m.rt", 2, "did you mean `train`?");
    expect_refusal("zzz", 2, "`zzz` is not a command");
    expect_refusal("--nope", 2, "is not a command");
    expect_refusal("train m.rt --stpes 3", 2, "did you mean --steps?");
    expect_refusal("train m.rt --zzz", 2, "has no option --zzz\n");
    expect_refusal("check m.rt --steps 3", 2, "it belongs to: train, bench");
    expect_refusal("check m.rt -x", 2, "no option -x");
    expect_refusal("check", 2, "`rtc check` needs FILE.rt");
    expect_refusal("check a b", 2, "`b` is one argument too many");
    expect_refusal("doctor x", 2, "one argument too many");
    expect_refusal("train m.rt --out d", 2, "needs --data F...");
    expect_refusal("train m.rt --data d", 2, "needs --out DIR");
    expect_refusal("train --data a m.rt --out d", 2, "before --data");
    expect_refusal("emit m.rt -o d", 2, "needs --target c");
    expect_refusal("check m.rt --json=1", 2, "takes no value");
    expect_refusal("sample r --tokens", 2, "--tokens needs a value: --tokens N\n");
    expect_refusal("run m.rt --in --out x", 2, "(for a value that begins with a dash: --in=--out)");
}

static void wrong_values_are_status_1(void **state)
{
    (void)state;
    expect_refusal("sample r --tokens abc", 1, "`abc` is not a whole number");
    expect_refusal("sample r --tokens 1.5", 1, "`1.5` is not a whole number");
    expect_refusal("sample r --tokens=", 1, "is not a whole number");
    expect_refusal("sample r --tokens 0", 1, "must be from 1 to 1000000000");
    expect_refusal("sample r --tokens -4", 1, "must be from 1 to");
    expect_refusal("sample r --seed 99999999999999999999", 1, "out of range");
    expect_refusal("sample r --temperature nan", 1, "is not a number");
    expect_refusal("sample r --temperature 1x", 1, "is not a number");
    expect_refusal("sample r --top-p 1.5", 1, "must be from 0 to 1");
    expect_refusal("bench m.rt --device gpu", 1, "`gpu` is not one of cpu|eval");
    expect_refusal("bench m.rt --device cpu|cuda", 1, "is not one of");
    expect_refusal("bench m.rt --device=", 1, "is not one of");
}

/* Every row is reachable, well formed, and told apart from its namesakes by the command. */
static void the_table_is_sound(void **state)
{
    (void)state;
    for (int i = 0; i < OPTIONS; i++) {
        const OptionRow *o = &option_info[i];
        assert_true(o->commands != 0 && o->commands >> COMMANDS == 0);
        assert_int_equal(o->required & ~o->commands, 0);
        assert_int_equal(o->value == NULL, o->kind == KIND_FLAG);
        assert_true(strlen(o->help) > 5 && o->help[strlen(o->help) - 1] != '.');
        bool number = o->kind == KIND_INTEGER || o->kind == KIND_NUMBER;
        assert_int_equal(number, o->high > o->low);
        if (number && o->preset) {
            assert_true(atof(o->preset) >= o->low && atof(o->preset) <= o->high);
        }
        for (int j = 0; j < i; j++) {
            if (!(o->commands & option_info[j].commands)) continue;
            assert_string_not_equal(o->name, option_info[j].name);
            assert_true(!o->letter || o->letter != option_info[j].letter);
        }
    }
    for (int c = 0; c < COMMANDS; c++) {
        assert_int_equal(command_named(command_info[c].name), c);
        assert_true(command_info[c].least <= command_info[c].most);
        assert_true(strlen(command_info[c].summary) > 5 && strlen(command_info[c].details) > 5);
        assert_true(option_belongs(OPTION_help, c));
    }
}

static bool lines_are_short(const char *text)
{
    for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
        if (strcspn(text, "\n") > 100) return false;
    }
    return true;
}

static void help_knows_everything(void **state)
{
    (void)state;
    Str all = {.arena = a};
    help_overview(&all);
    assert_true(lines_are_short(all.s));
    for (int c = 0; c < COMMANDS; c++) {
        Str s = {.arena = a};
        help_command(&s, c);
        assert_true(lines_are_short(s.s));
        assert_non_null(strstr(all.s, command_info[c].summary));
        assert_non_null(strstr(s.s, arena_printf(a, "Usage: rtc %s", command_info[c].name)));
        for (int i = 0; i < OPTIONS; i++) {
            const OptionRow *o = &option_info[i];
            char *entry = arena_printf(a, "--%s%s%s", o->name, o->value ? " " : "",
                                       o->value ? o->value : "");
            if (option_belongs(i, c)) assert_non_null(strstr(s.s, entry));
        }
    }
}

static int run(const char *command)
{
    fflush(stdout);
    return system(command);
}

static char *save(const char *name, const char *text)
{
    char *path = arena_printf(a, "/tmp/rtc-help-%ld-%s", (long)getpid(), name);
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
    return path;
}

static void the_man_page_knows_everything(void **state)
{
    (void)state;
    Str man = {.arena = a};
    help_man(&man, "1.2.3");
    for (int c = 0; c < COMMANDS; c++) {
        assert_non_null(strstr(man.s, arena_printf(a, ".SS \"rtc %s", command_info[c].name)));
    }
    for (int i = 0; i < OPTIONS; i++) {
        Str name = {.arena = a};
        str_add(&name, "\\-\\-");
        for (const char *c = option_info[i].name; *c; c++) {
            str_printf(&name, "%s%c", *c == '-' ? "\\" : "", *c);
        }
        assert_non_null(strstr(man.s, name.s));
    }
    if (run("command -v groff >/dev/null") == 0) {
        char *path = save("man", man.s);
        char *out = arena_printf(a, "%s.err", path);
        run(arena_printf(a, "groff -man -Tascii -ww %s >/dev/null 2>%s", path, out));
        assert_int_equal(run(arena_printf(a, "test ! -s %s || { cat %s; false; }", out, out)), 0);
        unlink(out);
        unlink(path);
    }
}

static void completions_know_everything(void **state)
{
    (void)state;
    static const char *const shells[] = {"bash", "zsh", "fish"};
    static const char *const forms[] = {"--%s ", "--%s", "-l %s"};
    for (int k = 0; k < COUNT(shells); k++) {
        Str s = {.arena = a};
        help_completion(&s, shells[k]);
        for (int i = 0; i < OPTIONS; i++) {
            Str form = {.arena = a};
            str_add(&form, forms[k]);
            char *at = strchr(form.s, '%');
            *at = 0;
            char *want = arena_printf(a, "%s%s%s", form.s, option_info[i].name, at + 2);
            assert_non_null(strstr(s.s, want));
        }
        for (int c = 0; c < COMMANDS; c++) assert_non_null(strstr(s.s, command_info[c].name));
        char *path = save(shells[k], s.s);
        if (run(arena_printf(a, "command -v %s >/dev/null", shells[k])) == 0) {
            assert_int_equal(run(arena_printf(a, "%s -n %s", shells[k], path)), 0);
        }
        unlink(path);
    }
}

/* What bash offers for the last word of a line. */
static void bash_offers(const char *path, const char *words, const char *want)
{
    char *script = arena_printf(a,
        "bash -c '. %s; COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); "
        "compopt() { :; }; _rtc; echo \"${COMPREPLY[*]}\"' > %s.out", path, words, path);
    assert_int_equal(run(script), 0);
    char line[2048] = "";
    FILE *f = fopen(arena_printf(a, "%s.out", path), "r");
    assert_non_null(fgets(line, sizeof line, f));
    fclose(f);
    line[strcspn(line, "\n")] = 0;
    if (strcmp(line, want) != 0) fail_msg("%s: offered `%s`, not `%s`", words, line, want);
}

static void bash_completes(void **state)
{
    (void)state;
    if (run("command -v bash >/dev/null") != 0) skip();
    Str s = {.arena = a};
    help_completion(&s, "bash");
    char *path = save("bash", s.s);
    bash_offers(path, "rtc tr", "train");
    bash_offers(path, "rtc train --st", "--steps");
    bash_offers(path, "rtc bench --device c", "cpu");
    bash_offers(path, "rtc help sa", "sample");
    bash_offers(path, "rtc help --completion \"\"", "bash zsh fish");
    bash_offers(path, "rtc bench --device = c", "cpu");
    bash_offers(path, "rtc emit --target =", "c");
    bash_offers(path, "rtc check " RTC_SOURCE_DIR "/CMakeLis", RTC_SOURCE_DIR "/CMakeLists.txt");
    bash_offers(path, "rtc run m.rt --in " RTC_SOURCE_DIR "/LICE", RTC_SOURCE_DIR "/LICENSE");
    bash_offers(path, "rtc train --steps \"\"", "");
    unlink(arena_printf(a, "%s.out", path));
    unlink(path);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_full_line),
        TEST(values),
        TEST(help_comes_first),
        TEST(wrong_usage_is_status_2),
        TEST(wrong_values_are_status_1),
        TEST(the_table_is_sound),
        TEST(help_knows_everything),
        TEST(the_man_page_knows_everything),
        TEST(completions_know_everything),
        TEST(bash_completes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

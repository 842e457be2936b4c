/* completion.c: completion scripts for bash, zsh and fish, from the table in options.def. */
#include "runtime/options.h"

/* Choices "a|b" as "a b". */
static char *spaced(Arena *a, const char *choices)
{
    char *s = arena_strdup(a, choices);
    for (char *c = s; *c; c++) *c = *c == '|' ? ' ' : *c;
    return s;
}

static char *command_names(Arena *a)
{
    Str s = {.arena = a};
    for (int c = 0; c < COMMANDS; c++) str_printf(&s, "%s%s", c ? " " : "", command_info[c].name);
    return s.s;
}

static bool wants_file(OptionKind k) { return k == KIND_FILE || k == KIND_FILES; }

/* Text inside single quotes of sh. */
static void quoted(Str *out, const char *text)
{
    str_add(out, "'");
    for (; *text; text++) {
        if (*text == '\'') {
            str_add(out, "'\\''");
        } else {
            str_addn(out, text, 1);
        }
    }
    str_add(out, "'");
}

/* ---- bash ---- */

static void bash_option(Str *out, const OptionRow *o)
{
    const char *action = "return";           /* a value that nobody can guess */
    const char *paths = o->kind == KIND_DIRECTORY ? "-d" : "-f";
    if (wants_file(o->kind) || o->kind == KIND_DIRECTORY) {
        action = arena_printf(out->arena, "compopt -o filenames; mapfile -t COMPREPLY < "
                                          "<(compgen %s -- \"$word\")", paths);
    }
    if (o->kind == KIND_CHOICE) {
        action = arena_printf(out->arena, "mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$word\")",
                              spaced(out->arena, o->value));
    }
    str_printf(out, "            --%s", o->name);
    if (o->letter) str_printf(out, "|-%c", o->letter);
    str_printf(out, ") %s%s ;;\n", action, !strcmp(action, "return") ? "" : "; return");
}

static void bash_command(Str *out, CommandId c)
{
    const char *arguments = command_info[c].arguments;
    str_printf(out, "    %s)\n        case $previous in\n", command_info[c].name);
    for (int i = 0; i < OPTIONS; i++) {
        const OptionRow *o = &option_info[i];
        if (option_belongs(i, c) && o->kind != KIND_FLAG) bash_option(out, o);
    }
    str_add(out, "            *) ;;\n        esac\n        options='");
    for (int i = 0; i < OPTIONS; i++) {
        const OptionRow *o = &option_info[i];
        if (!option_belongs(i, c)) continue;
        if (o->letter) str_printf(out, "-%c ", o->letter);
        str_printf(out, "--%s ", o->name);
    }
    str_printf(out, "'\n        arguments=%s ;;\n",
               !strncmp(arguments, "FILE", 4) ? "-f" : !strcmp(arguments, "DIR") ? "-d" : "''");
}

static void bash(Str *out)
{
    str_printf(out,
               "# bash completion for rtc; made by `rtc help --completion bash`\n"
               "_rtc()\n{\n"
               "    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
               "    local commands='%s' options='' arguments=''\n"
               "    COMPREPLY=()\n"
               "    [[ $word == = ]] && word=''               # bash cuts --name=value at the =\n"
               "    [[ $previous == = ]] && previous=${COMP_WORDS[COMP_CWORD-2]}\n"
               "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
               "        commands+=' --help --version'\n"
               "        mapfile -t COMPREPLY < <(compgen -W \"$commands\" -- \"$word\")\n"
               "        return\n    fi\n"
               "    case ${COMP_WORDS[1]} in\n",
               command_names(out->arena));
    for (int c = 0; c < COMMANDS; c++) bash_command(out, c);
    str_printf(out,
               "    *) return ;;\n    esac\n"
               "    if [[ $word == -* ]]; then\n"
               "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n"
               "    elif [ \"${COMP_WORDS[1]}\" = help ]; then\n"
               "        mapfile -t COMPREPLY < <(compgen -W \"$commands\" -- \"$word\")\n"
               "    elif [ -n \"$arguments\" ]; then\n"
               "        compopt -o filenames\n"
               "        mapfile -t COMPREPLY < <(compgen \"$arguments\" -- \"$word\")\n"
               "    fi\n}\n"
               "complete -F _rtc rtc\n");
}

/* ---- zsh ---- */

/* Inside an _arguments specification, colons and brackets are its own. */
static char *zsh_text(Arena *a, const char *text)
{
    Str s = {.arena = a};
    for (; *text; text++) {
        if (strchr("[]:\\", *text)) str_add(&s, "\\");
        str_addn(&s, text, 1);
    }
    return s.s;
}

static void zsh_option(Str *out, const OptionRow *o)
{
    Arena *a = out->arena;
    const char *action = "";
    if (o->kind == KIND_CHOICE) action = arena_printf(a, "(%s)", spaced(a, o->value));
    if (wants_file(o->kind)) action = "_files";
    if (o->kind == KIND_DIRECTORY) action = "_files -/";
    char *value = o->value ? arena_printf(a, ":%s:%s", zsh_text(a, o->value), action) : "";
    char *many = o->kind == KIND_LIST || o->kind == KIND_FILES ? "*" : "";
    for (int letter = 0; letter <= (o->letter != 0); letter++) {
        char *name = letter ? arena_printf(a, "-%c", o->letter) : arena_printf(a, "--%s", o->name);
        str_add(out, " \\\n        ");
        quoted(out, arena_printf(a, "%s%s%s[%s]%s", many, name, o->value && !letter ? "=" : "",
                                 zsh_text(a, o->help), value));
    }
}

static void zsh(Str *out)
{
    str_add(out, "#compdef rtc\n# zsh completion for rtc; made by `rtc help --completion zsh`\n"
                 "_rtc() {\n    local -a commands=(\n");
    for (int c = 0; c < COMMANDS; c++) {
        str_add(out, "        ");
        quoted(out, arena_printf(out->arena, "%s:%s", command_info[c].name,
                                 zsh_text(out->arena, command_info[c].summary)));
        str_add(out, "\n");
    }
    str_add(out, "    )\n    if (( CURRENT == 2 )); then\n        _describe command commands\n"
                 "        return\n    fi\n    local command=$words[2]\n    shift words\n"
                 "    (( CURRENT-- ))\n    case $command in\n");
    for (int c = 0; c < COMMANDS; c++) {
        const char *arguments = command_info[c].arguments;
        str_printf(out, "    %s) _arguments", command_info[c].name);
        for (int i = 0; i < OPTIONS; i++) {
            if (option_belongs(i, c)) zsh_option(out, &option_info[i]);
        }
        if (!strncmp(arguments, "FILE", 4)) str_add(out, " \\\n        '1:file:_files'");
        if (!strcmp(arguments, "DIR")) str_add(out, " \\\n        '1:run directory:_files -/'");
        if (c == COMMAND_help) {
            str_printf(out, " \\\n        '1:command:(%s)'", command_names(out->arena));
        }
        str_add(out, " ;;\n");
    }
    str_add(out, "    esac\n}\n_rtc \"$@\"\n");
}

/* ---- fish ---- */

/* Inside single quotes of fish only the quote and the backslash are special. */
static void fish_quoted(Str *out, const char *text)
{
    str_add(out, "'");
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\') str_add(out, "\\");
        str_addn(out, text, 1);
    }
    str_add(out, "'");
}

static void fish_option(Str *out, CommandId c, const OptionRow *o)
{
    str_printf(out, "complete -c rtc -n '__fish_seen_subcommand_from %s' -l %s",
               command_info[c].name, o->name);
    if (o->letter) str_printf(out, " -s %c", o->letter);
    if (wants_file(o->kind)) {
        str_add(out, " -r -F");
    } else if (o->kind == KIND_DIRECTORY) {
        str_add(out, " -x -a '(__fish_complete_directories)'");
    } else if (o->kind == KIND_CHOICE) {
        str_printf(out, " -x -a '%s'", spaced(out->arena, o->value));
    } else if (o->kind != KIND_FLAG) {
        str_add(out, " -x");
    }
    str_add(out, " -d ");
    fish_quoted(out, o->help);
    str_add(out, "\n");
}

static void fish(Str *out)
{
    str_add(out, "# fish completion for rtc; made by `rtc help --completion fish`\n");
    for (int c = 0; c < COMMANDS; c++) {
        str_printf(out, "complete -c rtc -n __fish_use_subcommand -f -a %s -d ",
                   command_info[c].name);
        fish_quoted(out, command_info[c].summary);
        str_add(out, "\n");
    }
    for (int c = 0; c < COMMANDS; c++) {
        for (int i = 0; i < OPTIONS; i++) {
            if (option_belongs(i, c)) fish_option(out, c, &option_info[i]);
        }
    }
    str_printf(out, "complete -c rtc -n '__fish_seen_subcommand_from help' -f -a '%s'\n",
               command_names(out->arena));
}

void help_completion(Str *out, const char *shell)
{
    if (!strcmp(shell, "bash")) bash(out);
    if (!strcmp(shell, "zsh")) zsh(out);
    if (!strcmp(shell, "fish")) fish(out);
}

"""What bash, zsh and fish read to complete ``trainci``: each asks trainci itself, and quotes what it inserts.

The shell gives the line up to the cursor as COMP_LINE; bash, which ends words at ``:`` and ``=`` too, beside what
it takes for the word, as COMP_WORD. Each line of the answer is a value, a tab and its description; ``FILES`` or
``FOLDERS`` alone leave it to the shell. Nothing of standard error reaches the prompt.
"""

from __future__ import annotations

FILES = "\tfiles"
FOLDERS = "\tfolders"

# Only names that need it are quoted as file names are: a suite called as a folder is would get a slash.
_BASH = r"""
_trainci_completion() {
    local IFS= lines
    mapfile -t lines < <(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORD="$2" _TRAINCI_COMPLETE=1 \
        "$1" 2>/dev/null </dev/null)
    COMPREPLY=()
    case "${lines[0]-}" in
        $'\tfiles') compopt -o default ;;
        $'\tfolders') compopt -o dirnames ;;
        *)
            COMPREPLY=("${lines[@]%%$'\t'*}")
            [[ "${COMPREPLY[*]}" != *[^[:alnum:]_./=,%+-]* ]] || compopt -o filenames ;;
    esac
}
complete -o nosort -F _trainci_completion trainci 2>/dev/null || complete -F _trainci_completion trainci
"""

# zsh knows `compdef` only once its completion has been started, which a .zshrc need not do.
_ZSH = r"""
_trainci_completion() {
    local -a lines values shown
    local line
    lines=("${(@f)$(COMP_LINE="${words[1,CURRENT-1]} $QIPREFIX$PREFIX" _TRAINCI_COMPLETE=1 \
        ${(Q)words[1]} 2>/dev/null </dev/null)}")
    case "$lines[1]" in
        ('') return 1 ;;
        ($'\tfiles') _files; return ;;
        ($'\tfolders') _files -/; return ;;
    esac
    for line in $lines; do
        values+=("${line%%$'\t'*}")
        shown+=("${${line%$'\t'}/$'\t'/  -- }")
    done
    compadd -V trainci -d shown -a values
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _trainci_completion trainci
"""

_FISH = r"""
function _trainci_completion
    set -l lines (env COMP_LINE=(commandline -cp | string join ' ') _TRAINCI_COMPLETE=1 \
        trainci 2>/dev/null </dev/null)
    switch "$lines[1]"
        case \tfiles
            __fish_complete_path (commandline -ct)
        case \tfolders
            __fish_complete_directories (commandline -ct)
        case '*'
            string join -- \n $lines
    end
end
complete --no-files --keep-order --command trainci --arguments "(_trainci_completion)"
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}

# shellcheck shell=bash
# packages.sh: sourced by the set-up commands: installs what is missing, quietly, as root or by sudo.
#
#     need_packages gcc make ...        fails if they can't be installed
#     want_packages clang ...           goes on without

missing_packages() {
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || echo "$package"
  done
}

# What a machine without Debian's package manager has to bring itself.
install_packages() {
  local missing as_root=""
  mapfile -t missing < <(missing_packages "$@")
  [ "${#missing[@]}" -eq 0 ] && return 0
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "needed: ${missing[*]} (names of Debian packages; there is no apt-get here)" >&2
    return 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || {
      echo "needed: ${missing[*]}; run as root: apt-get install ${missing[*]}" >&2
      return 1
    }
    as_root="sudo"
  fi
  echo "installing ${missing[*]}" >&2
  export DEBIAN_FRONTEND=noninteractive
  local log
  log=$(mktemp)
  if $as_root apt-get -qq update >"$log" 2>&1 &&
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install \
      "${missing[@]}" >>"$log" 2>&1; then
    rm -f "$log"
    return 0
  fi
  tail -n 20 "$log" >&2
  rm -f "$log"
  return 1
}

need_packages() { install_packages "$@" || exit 1; }
want_packages() { install_packages "$@" || echo "going on without" >&2; }

# What building and testing take.
build_packages() {
  need_packages gcc cmake make flex bison pkg-config libdnnl-dev libjansson-dev libcmocka-dev \
    libxxhash-dev
}

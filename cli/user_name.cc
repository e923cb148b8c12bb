#include "cli/user_name.h"

#include <pwd.h>
#include <unistd.h>

namespace muster::cli {

std::string UserName() {
  const passwd* entry = getpwuid(getuid());
  return entry == nullptr ? std::to_string(getuid()) : entry->pw_name;
}

}  // namespace muster::cli

// Who runs this program.
#pragma once

#include <string>

namespace muster::cli {

// The login name; the number of a user without one.
std::string UserName();

}  // namespace muster::cli

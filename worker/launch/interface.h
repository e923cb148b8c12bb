// Which network interface of this machine holds an address.
#pragma once

#include <string>

namespace muster::worker::launch {

// "eth0" for the numeric address it holds, IPv4 or IPv6; empty when none does, or for a name.
std::string InterfaceOf(const std::string& address);

}  // namespace muster::worker::launch

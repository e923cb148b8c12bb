// Who runs on this machine, from /proc.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace muster::worker::shim {

// When the process began, in clock ticks since boot: with the pid, its identity for ever. 0 when
// there is no such process (a zombie counts as none).
uint64_t StartTime(int pid);

// As the kernel has it: "R", "S", "D", "T"; empty when there is no such process.
std::string ProcessState(int pid);

// Living processes whose parent is `parent`.
std::vector<int> ChildrenOf(int parent);

// Living processes, other than the caller, started with MUSTER_SCOPE=`scope`.
std::vector<int> ProcessesInScope(const std::string& scope);

}  // namespace muster::worker::shim

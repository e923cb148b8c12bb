#include "cli/app.h"

int main(int argc, char** argv) { return muster::cli::RunCli(argc, argv); }

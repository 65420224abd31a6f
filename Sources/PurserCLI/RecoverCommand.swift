let recoverCommand = CommandSpec(name: "recover", summary: "x") { _ in 0 }

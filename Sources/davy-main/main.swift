import DavyCommands

await Davy.main()

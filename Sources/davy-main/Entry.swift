import ArgumentParser
import DavyCommands

/// The program.
@main
enum Entry {
  static func main() async {
    await Davy.main()
  }
}

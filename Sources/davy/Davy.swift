public import ArgumentParser

/// The command line of Davy.
public struct Davy: AsyncParsableCommand {
  /// Names, texts, subcommands.
  public static let configuration = CommandConfiguration(
    commandName: "davy",
    abstract: "Turns safety telemetry into answered alarms and closed hazards. 安全监测报警与隐患闭环服务。",
    discussion: """
      A station subscribes by MQTT to gateways, evaluates every reading against the rules of its site, and writes \
      each step of each alarm into a tamper-evident ledger.

      Begin with:
        davy check config/service.yaml        say what is wrong with a configuration, all at once
        davy decode config/service.yaml ...   show what one payload becomes
        davy serve config/service.yaml        run a station
        davy replay DATA/journal              run a recording through the same pipeline
        davy simulate FOLDER                  publish a fleet of every family in every format
        davy notify config/service.yaml       try the channels by which persons are called
        davy verify DATA                      prove that journal and ledger are whole
        davy export DATA ALARM                one alarm or hazard with its proof, as a file that verifies alone
        davy export readings config/service.yaml --from 2026-01-01 --to 2026-02-01   readings as Influx lines or CSV
        davy doctor config/service.yaml       look for what keeps a station from working well
      """,
    version: "davy 0.1.0",
    subcommands: [
      Serve.self, Check.self, Decode.self, ReplayCommand.self, Verify.self, Export.self,
      Import.self, ScoreCommand.self, Calibrate.self, Simulate.self, Reload.self, Backup.self,
      Restore.self, Doctor.self, CopyLedger.self, Notify.self,
    ]
  )

  /// Makes the command.
  public init() {}
}

import Testing

/// A script of the welding desk and what it must bring.
struct WeldingScript: Sendable, CustomTestStringConvertible {
  var name: String
  var script: String
  var alarms: [String] = []
  var commands: [String] = []
  var testDescription: String { name }

  /// Every alarm of the table in the domain's section on welding, the six published warnings among them.
  static let all: [WeldingScript] = [
    WeldingScript(
      name: "a sound scan releases, the arc is quiet, the end of the permit locks without an alarm",
      script: """
        0 fix 115.0005 25.0005
        10 scan w1
        20-100 current 120
        110 current 0
        3700 tick
        """,
      // 20 minutes without an arc lock first; the ticket ends at 3600.
      alarms: ["710 idle-current raised", "1310 idle-current returned"],
      commands: ["10 release scan", "1310 lock idle-current"]
    ),
    WeldingScript(
      name: "NO_CERT: scan by a person without a welding certificate; the alarm stands ten minutes",
      script: """
        0 fix 115.0005 25.0005
        10 scan w3
        20 scan w9
        700 tick
        """,
      alarms: ["10 no-cert raised", "620 no-cert returned"],
      commands: ["10 lock noCertificate", "20 lock unknownWelder"]
    ),
    WeldingScript(
      name: "CERT_EXPIRED (证书到期): at midnight for the welder, and no release",
      script: """
        43200 fix 115.0005 25.0005
        43201 scan w2
        """,
      alarms: [
        "43200 w2 cert-expiring returned", "43200 w2 cert-expired raised",
        "43201 cert-expired raised", "43201 out-of-hours raised",
      ],
      commands: ["43201 lock certificateExpired"]
    ),
    WeldingScript(
      name: "CERT_EXPIRED while welding: locked at midnight",
      script: """
        35000 fix 115.0005 25.0005
        35100 put permits P-3 {"kind":"ticket","class":"first","assessed":"second","machines":["WM-1"],"welders":["w2"],"area":"plant/shop","from":1795699200000,"until":1795712400000,"gasTestedAt":1795700600000,"guardian":"g"}
        35120 scan w2
        35140-43180 current 120
        43200 current 120
        43202 current 0
        43230 tick
        """,
      alarms: [
        "43200 w2 cert-expiring returned", "43200 w2 cert-expired raised",
        "43200 cert-expired raised", "43202 cert-expired returned",
      ],
      commands: ["35120 release scan", "43200 lock cert-expired"]
    ),
    WeldingScript(
      name: "CERT_EXPIRING (证书临期): ninety days before the review",
      script: """
        10 put welders w5 {"name":"赵","certificate":"T5","validFrom":"2024-01-01","validUntil":"2030-12-31","reviewBy":"2027-02-24"}
        20 put welders w6 {"name":"孙","certificate":"T6","validFrom":"2024-01-01","validUntil":"2030-12-31","reviewBy":"2027-02-25"}
        43300 tick
        """,
      alarms: [
        "10 w5 cert-expiring raised", "43200 w2 cert-expiring returned",
        "43200 w2 cert-expired raised", "43200 w6 cert-expiring raised",
      ]
    ),
    WeldingScript(
      name: "NO_PERMIT: current without a release is locked at once and is an alarm until it stops",
      script: """
        0 current 0
        20-60 current 120
        63 current 0
        """,
      alarms: [
        "20 no-permit raised", "25 cut-failed raised", "63 cut-failed returned",
        "63 no-permit returned",
      ],
      commands: [
        "20 lock no-permit", "25 lock no-permit", "30 lock no-permit", "35 lock no-permit",
        "40 lock no-permit",
      ]
    ),
    WeldingScript(
      name: "a lock that works is proven by the current",
      script: """
        0 current 0
        20 current 120
        22 current 0
        90 tick
        """,
      alarms: ["20 no-permit raised", "22 no-permit returned"],
      commands: ["20 lock no-permit"]
    ),
    WeldingScript(
      name: "NO_PERMIT: the permit is withdrawn while the work goes on",
      script: """
        0 fix 115.0005 25.0005
        10 scan w1
        20-60 current 120
        65 remove permits P-1
        67 current 0
        """,
      alarms: ["65 no-permit raised", "67 no-permit returned"],
      commands: ["10 release scan", "65 lock no-permit"]
    ),
    WeldingScript(
      name: "OUT_OF_AREA: three positions outside the fence cut, two do not",
      script: """
        0 fix 115.0005 25.0005
        10 scan w1
        20 current 120
        30 fix 115.002 25.0005
        40 fix 115.002 25.0005
        50 fix 115.0005 25.0005
        60 fix 115.002 25.0005
        70 fix 115.002 25.0005
        75 current 120
        80 fix 115.002 25.0005
        82 current 0
        """,
      alarms: ["80 out-of-area raised", "82 out-of-area returned"],
      commands: ["10 release scan", "80 lock out-of-area"]
    ),
    WeldingScript(
      name: "OUT_OF_AREA and OUT_OF_HOURS at the scan",
      script: """
        -10 fix 115.0015 25.0005
        -5 scan w1 QR-1 115.0015 25.0005
        600 tick
        """,
      alarms: ["595 out-of-area returned", "595 out-of-hours returned"],
      commands: ["-5 lock outOfHours"]
    ),
    WeldingScript(
      name: "OVERTIME: the permit ends under the arc",
      script: """
        0 fix 115.0005 25.0005
        10 scan w1
        20-3600 current 120
        3603 current 0
        7300 tick
        """,
      alarms: [
        "3600 overtime raised", "3603 overtime returned", "7200 P-1 after-check raised",
      ],
      commands: ["10 release scan", "3600 lock overtime"]
    ),
    WeldingScript(
      name: "OVERTIME: an extension in time keeps the machine going",
      script: """
        0 fix 115.0005 25.0005
        10 scan w1
        20-3500 current 120
        3510 extend -
        3520-3660 current 120
        """,
      commands: ["10 release scan"]
    ),
    WeldingScript(
      name: "SPECIAL_PERIOD (特殊时期动火): a ban begins under the arc, and denies the scan after it",
      script: """
        0 fix 115.0005 25.0005
        5 put banned-periods b1 {"reason":"会议","from":1795665660000,"until":1795669200000}
        10 scan w1
        20-60 current 120
        62 current 0
        70 scan w1
        """,
      alarms: [
        "60 special-period raised", "62 special-period returned", "70 special-period raised",
      ],
      commands: ["10 release scan", "60 lock special-period", "70 lock specialPeriod"]
    ),
    WeldingScript(
      name: "REMOTE_SCAN (远距离扫码作业): the scan is 100 m from the machine",
      script: """
        0 fix 115.0005 25.0005
        10 scan w1 QR-1 115.0015 25.0005
        611 tick
        """,
      alarms: ["10 remote-scan raised", "610 remote-scan returned"],
      commands: ["10 lock remoteScan"]
    ),
    WeldingScript(
      name:
        "SUSPECTED_MODIFICATION (疑似改装焊机): load at the supply, none at the chip, for 30 s; barred",
      script: """
        0 fix 115.0005 25.0005
        10 current 0
        20-60 mains 40
        70 scan w1
        80 mains 0
        """,
      alarms: ["50 suspected-modification raised", "80 suspected-modification returned"],
      commands: ["50 lock suspected-modification", "70 lock machineBarred"]
    ),
    WeldingScript(
      name: "CHIP_REMOVED: the tamper contact locks and bars; its alarm is the profile's",
      script: """
        0 fix 115.0005 25.0005
        10 scan w1
        20 current 120
        30 tamper 1
        32 current 0
        40 scan w1
        """,
      commands: ["10 release scan", "30 lock chip-removed", "40 lock machineBarred"]
    ),
    WeldingScript(
      name: "ABNORMAL_WORK (焊机异常作业): current outside the machine's normal for 30 s",
      script: """
        0 fix 115.0005 25.0005
        10 scan w1
        20 current 120
        30 current 300
        50 current 300
        59 current 300
        70 current 300
        75 current 120
        """,
      alarms: ["60 abnormal-work raised", "75 abnormal-work returned"],
      commands: ["10 release scan"]
    ),
    WeldingScript(
      name: "OFFLINE: silence for 60 s while it welds; the next reading ends it",
      script: """
        0 fix 115.0005 25.0005
        10 scan w1
        20 current 120
        100 current 120
        """,
      alarms: ["80 offline raised", "100 offline returned"],
      commands: ["10 release scan"]
    ),
    WeldingScript(
      name:
        "GAS_NEAR: a detector of the area cuts, denies while it stands, and the scan after it releases",
      script: """
        0 fix 115.0005 25.0005
        1 detector 2
        10 scan w1
        20 current 120
        30 detector 30
        32 current 0
        40 scan w1
        50 detector 2
        700 fix 115.0005 25.0005
        710 scan w1
        """,
      alarms: ["30 gas-near raised", "640 gas-near returned"],
      commands: ["10 release scan", "30 lock gas-near", "40 lock gasNear", "710 release scan"]
    ),
    WeldingScript(
      name: "GAS_NEAR: the machine's own detector cuts; the alarm ends with the gas",
      script: """
        0 fix 115.0005 25.0005
        1 gas 1
        10 scan w1
        20 current 120
        30 gas 12
        32 current 0
        50 gas 1
        """,
      alarms: ["30 gas-near raised", "50 gas-near returned"],
      commands: ["10 release scan", "30 lock gas-near"]
    ),
    WeldingScript(
      name: "NO_GUARDIAN: blocks the start, and stops the work when they leave",
      script: """
        0 fix 115.0005 25.0005
        5 report {"permit":"P-1","event":"guardian-left"}
        10 scan w1
        20 report {"permit":"P-1","event":"guardian","person":"g2"}
        30 scan w1
        640-680 current 120
        690 report {"permit":"P-1","event":"guardian-left"}
        692 current 0
        """,
      alarms: [
        "10 no-guardian raised", "610 no-guardian returned", "630 idle-current raised",
        "640 idle-current returned", "690 no-guardian raised", "692 no-guardian returned",
      ],
      commands: ["10 lock noGuardian", "30 release scan", "690 lock no-guardian"]
    ),
    WeldingScript(
      name: "gas test: 30 minutes old at the scan is the limit",
      script: """
        1200 fix 115.0005 25.0005
        1200 scan w1
        1201 scan w1
        1210 report {"permit":"P-1","event":"gas-test"}
        1220 scan w1
        """,
      commands: ["1200 release scan", "1201 lock gasTestMissing", "1220 release scan"]
    ),
    WeldingScript(
      name: "gas test: one that is said wrongly counts for nothing, nor does the one before",
      script: """
        1200 fix 115.0005 25.0005
        1201 report {"permit":"P-1","event":"gas-test"}
        1202 scan w1
        1210 report {"permit":"P-1","event":"gas-test","passed":"false"}
        1220 scan w1
        1230 report {"permit":"P-1","event":"gas-test"}
        1240 report {"permit":"P-1","event":"gas-test","passed":false,"time":1.5}
        1250 scan w1
        """,
      commands: ["1202 release scan", "1220 lock gasTestMissing", "1250 lock gasTestMissing"]
    ),
    WeldingScript(
      name: "AFTER_CHECK: an hour after the end the place must have been confirmed clear",
      script: """
        0 fix 115.0005 25.0005
        10 scan w1
        20-100 current 120
        110 current 0
        120 report {"permit":"P-1","event":"finished"}
        3721 tick
        3800 report {"permit":"P-1","event":"cleared"}
        """,
      alarms: ["3720 P-1 after-check raised", "3800 P-1 after-check returned"],
      commands: ["10 release scan", "120 lock overtime"]
    ),
    WeldingScript(
      name: "AFTER_CHECK: confirmed in time, no alarm",
      script: """
        0 fix 115.0005 25.0005
        10 scan w1
        20-100 current 120
        110 current 0
        120 report {"permit":"P-1","event":"finished"}
        1800 report {"permit":"P-1","event":"cleared"}
        8000 tick
        """,
      commands: ["10 release scan", "120 lock overtime"]
    ),
    WeldingScript(
      name: "commitment: no hot work declared for the day, and a machine welds",
      script: """
        0 fix 115.0005 25.0005
        5 put commitments 2026-11-26 {"hotWorks":0}
        10 scan w1
        20 current 120
        40 current 0
        """,
      alarms: ["20 commitment raised", "40 commitment returned"],
      commands: ["10 release scan"]
    ),
    WeldingScript(
      name: "night: a second-class declaration that was not upgraded is stopped at ten",
      script: """
        35300 fix 115.0005 25.0005
        35400 scan w1
        35420-35980 current 120
        36000 current 120
        36002 current 0
        """,
      alarms: ["36000 not-upgraded raised", "36002 not-upgraded returned"],
      commands: ["35400 release scan", "36000 lock not-upgraded"]
    ),
    WeldingScript(
      name: "somebody else's denied scan does not stop the welder who was released",
      script: """
        0 fix 115.0005 25.0005
        10 scan w1
        20 current 120
        30 scan w3
        40 current 120
        """,
      alarms: ["30 no-cert raised"],
      commands: ["10 release scan"]
    ),
    WeldingScript(
      name:
        "HIGH_WIND: force 5 stops outdoor work that is not one class up, and denies the next scan",
      script: """
        0 fix 115.0005 25.0005
        5 put permits P-4 {"kind":"ticket","class":"second","machines":["WM-1"],"welders":["w1"],"area":"plant/shop","outdoor":true,"from":1795665600000,"until":1795669200000,"gasTestedAt":1795665000000,"guardian":"g"}
        6 remove permits P-1
        7 wind 7.9
        10 scan w1
        20-60 current 120
        70 wind 8
        72 current 0
        80 scan w1
        """,
      alarms: ["70 high-wind raised", "72 high-wind returned", "80 high-wind raised"],
      commands: ["10 release scan", "70 lock high-wind", "80 lock highWind"]
    ),
    WeldingScript(
      name: "the wind is nothing to work indoors, nor to outdoor work that is one class up",
      script: """
        0 fix 115.0005 25.0005
        5 wind 20
        10 scan w1
        20 current 120
        30 put permits P-1 {"kind":"ticket","class":"first","assessed":"second","machines":["WM-1"],"welders":["w1"],"area":"plant/shop","outdoor":true,"from":1795665600000,"until":1795669200000,"gasTestedAt":1795665000000,"guardian":"g"}
        40 wind 21
        50 current 120
        """,
      commands: ["10 release scan"]
    ),
    WeldingScript(
      name:
        "a wind sensor that is silent for more than ten minutes leaves outdoor work undecided: denied",
      script: """
        0 wind 3
        5 put permits P-1 {"kind":"ticket","class":"second","machines":["WM-1"],"welders":["w1"],"area":"plant/shop","outdoor":true,"from":1795665600000,"until":1795669200000,"gasTestedAt":1795665000000,"guardian":"g"}
        590 fix 115.0005 25.0005
        601 scan w1
        610 wind 3
        620 scan w1
        """,
      commands: ["601 lock windUnknown", "620 release scan"]
    ),
    WeldingScript(
      name: "UNMONITORED: special-class work needs gas readings from the scan to the end",
      script: """
        0 fix 115.0005 25.0005
        5 put permits P-1 {"kind":"ticket","class":"special","machines":["WM-1"],"welders":["w1"],"area":"plant/shop","from":1795665600000,"until":1795669200000,"gasTestedAt":1795665000000,"guardian":"g","video":"CAM-1"}
        8 scan w1
        10 detector 2
        12 scan w1
        20-60 current 120
        65 detector 2
        80-120 current 120
        127 current 0
        """,
      alarms: ["125 unmonitored raised", "127 unmonitored returned"],
      commands: ["8 lock unmonitored", "12 release scan", "125 lock unmonitored"]
    ),
    WeldingScript(
      name: "UNRECORDED: special-class work needs a camera from the scan to the end",
      script: """
        0 fix 115.0005 25.0005
        5 put permits P-1 {"kind":"ticket","class":"special","machines":["WM-1"],"welders":["w1"],"area":"plant/shop","from":1795665600000,"until":1795669200000,"gasTestedAt":1795665000000,"guardian":"g"}
        6 detector 2
        8 scan w1
        10 report {"permit":"P-1","event":"video","camera":"CAM-1"}
        12 scan w1
        20 current 120
        30 detector 2
        35 report {"permit":"P-1","event":"video-stopped"}
        38 current 0
        """,
      alarms: ["35 unrecorded raised", "38 unrecorded returned"],
      commands: ["8 lock unrecorded", "12 release scan", "35 lock unrecorded"]
    ),
  ]
}

"""Writes seed inputs for DecoderFuzzer: valid messages of each format.

python3 tools/fuzzers/seeds.py DIRECTORY
"""
import pathlib
import re
import sys

T = 1795451234567


def message(payload, topic=0):
    if isinstance(payload, str):
        payload = payload.encode()
    return bytes([topic]) + len(payload).to_bytes(2, "little") + payload


def crc(data):
    register = 0xFFFF
    for byte in data:
        register = (register >> 8) ^ byte
        for _ in range(8):
            register = (register >> 1) ^ 0xA001 if register & 1 else register >> 1
    return register


def frame(data):
    return f"##{len(data):04d}{data}{crc(data.encode()):04X}\r\n"


def hj(parameters, flag=5, more="", command=2011):
    return frame(
        f"QN=20261123171204567;ST=32;CN={command};PW=1;MN=010000A8900016F000169DC0;"
        f"Flag={flag};{more}CP=&&{parameters}&&")


def vectors():
    text = pathlib.Path("Tests/PayloadDecodingTests/SparkplugVectors.swift").read_text()
    found = {}
    for name, body in re.findall(r"static let (\w+) =((?:\s*\+?\s*\"[0-9a-f]*\")+)", text):
        found[name] = bytes.fromhex("".join(re.findall(r'"([0-9a-f]*)"', body)))
    return found


spb = vectors()
birth = message(spb["nodeBirth"], 0) + message(spb["deviceBirth"], 1)
time = "DataTime=20261123171204;"
seeds = {
    "davy": [
        message(f'{{"device":"dev","readings":[{{"point":"v","t":{T},"v":1.5}},{{"point":"ch4","t":{T},"v":-2,"unit":"Cel"}}]}}'),
        message(f'{{ "device" : "g", "t": {T}, "s": "normal", "values": {{"v": 1.25, "ch4": 3e2, "load": true}} }}'),
        message(f'[{{"device":"dev","point":"load","v":12.345678901}},{{"device":"g","point":"温度","t":{T},"v":0}}]'),
        message(f'{{"device":"dev","point":"v","t":{T},"v":1.03,"s":"alarm","unit":"K"}}'),
        message('{"device":"dev","values":{"ch4":1.5,"v":{"v":2,"s":"E","unit":"degF"}}}'),
        message(f'{{"device":"dev","s":"alarm","unit":"K","values":{{"v":{{"v":2,"t":{T},"historical":true}}}}}}'),
        message('{"device":"dev","s":null,"v":55,"readings":[{"point":"v","v":1}]}'),
        message('{"device":"dev","point":"v","readings":[{"v":1},{"point":"ch4","v":2},{"values":{"load":3}}]}'),
        message('{"device":"dev","historical":true,"readings":[{"point":"v","v":1},'
                '{"point":"温度","t":"2026-11-23T17:12:04.567+08:00","v":-2e5}]}'),
    ],
    "mapped": [
        message(f'{{"dev":[{{"ts":"2026-11-23 17:12:04","values":{{"ch4":1.5,"v":"2"}}}}]}}'),
        message('{"dev":"dev","t":"2026/11/23 17:12:04","u":["K"],"d":[{"n":"v","v":1,"s":1}]}'),
        message('{"dev":"dev","v":{"ch4":1,"v":2,"load":true},"s":{"v":1,"ch4":"x","load":1},"u":{"load":"state","ch4":"K"},"d":[]}'),
    ],
    "senml-json": [
        message('[{"bn":"dev:","bt":1.795451234567e9,"bu":"Cel","bver":5,"n":"v","v":1},'
                '{"n":"current","t":-5,"v":1.2},{"n":"ch4","vb":true},{"n":"load","vb":true}]'),
        message('[{"n":"urn:dev:dev:v","u":"K","v":300}]'),
    ],
    "senml-cbor": [
        message(bytes.fromhex("82a421646465763a22fb41dac10bd8a44dd3006176020" "1a30063636834062402f93e00")),
        message(bytes.fromhex("9fbf00656465763a7602c48221 19010affff".replace(" ", ""))),
    ],
    "influx": [
        message(f"m,device=dev,status=7 v=1.5,ch4=2i,load=t {T}000000\nm,device=dev v=3u"),
        message('# c\ndev,zone=a\\ b v="x\\"y",current=-.5e3\r\n'),
    ],
    "sparkplug": [
        birth + message(spb["deviceData"], 2) + message(spb["nodeData"], 3),
        birth + message(spb["deviceData3"], 2) + message(spb["deviceData4"], 0x52),
        birth + message(spb["nodeDeath7"], 4), birth + message(spb["deviceDeath"], 5),
    ],
    "hj212": [
        message(hj(time + "a21026-Rtd=1.5,a21026-Flag=N;a34013-Avg=2,a34013-Flag=T")),
        message(hj(time + "a21026-Rtd=1", 7, "PNUM=2;PNO=1;"))
        + message(hj("load-Rtd=2", 7, "PNUM=2;PNO=2;")),
        message(hj("", 5, "", 1062)),
    ],
}
for name, inputs in seeds.items():
    folder = pathlib.Path(sys.argv[1]) / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(inputs):
        (folder / f"seed-{number}").write_bytes(content)

"""A small stand-in for Twilio's REST API: one account with two numbers, and what was asked of it.

usage: twilio_api.py FOLDER [TOKEN]      writes its address into FOLDER/address, requests into FOLDER/requests
"""

import base64
import json
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

FOLDER = Path(sys.argv[1])
ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = sys.argv[2] if len(sys.argv) > 2 else "a token & more"
PREFIX = f"/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers"
# Fields of a form, and what they change.
FIELDS = {
    "VoiceUrl": "voice_url",
    "VoiceMethod": "voice_method",
    "VoiceFallbackUrl": "voice_fallback_url",
    "VoiceFallbackMethod": "voice_fallback_method",
    "StatusCallback": "status_callback",
    "StatusCallbackMethod": "status_callback_method",
}


def number(sid, phone_number, application=""):
    return {
        "sid": sid,
        "phone_number": phone_number,
        "voice_url": "https://demo.twilio.com/welcome/voice/",
        "voice_method": "POST",
        "voice_fallback_url": "",
        "voice_fallback_method": "POST",
        "status_callback": "",
        "status_callback_method": "POST",
        "voice_application_sid": application or None,
        "trunk_sid": None,
    }


numbers = {
    "PN" + "1" * 32: number("PN" + "1" * 32, "+14155550100"),
    "PN" + "2" * 32: number("PN" + "2" * 32, "+14155550101", "AP" + "3" * 32),
}


class Api(BaseHTTPRequestHandler):
    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def known(self):
        expected = "Basic " + base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        if self.headers.get("Authorization") == expected:
            return True
        self.answer(401, {"code": 20003, "message": "Authenticate"})
        return False

    def note(self, form=None):
        with (FOLDER / "requests").open("a") as requests:
            requests.write(json.dumps({"method": self.command, "path": self.path, "form": form}) + "\n")

    def do_GET(self):
        self.note()
        if not self.known():
            return
        path, _, query = self.path.partition("?")
        if path == PREFIX + ".json":
            wanted = urllib.parse.parse_qs(query).get("PhoneNumber")
            found = [one for one in numbers.values() if not wanted or one["phone_number"] == wanted[0]]
            self.answer(200, {"incoming_phone_numbers": found})
            return
        found = numbers.get(path.removeprefix(PREFIX + "/").removesuffix(".json"))
        self.answer(200, found) if found else self.answer(404, {"message": "not found"})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = dict(urllib.parse.parse_qsl(body, strict_parsing=True))
        self.note(form)
        if not self.known():
            return
        found = numbers.get(self.path.removeprefix(PREFIX + "/").removesuffix(".json"))
        if not found or self.headers["Content-Type"] != "application/x-www-form-urlencoded":
            self.answer(404, {"message": "not found"})
            return
        unknown = set(form) - set(FIELDS)
        if unknown:
            self.answer(400, {"message": f"unknown: {unknown}"})
            return
        found.update({FIELDS[name]: value for name, value in form.items()})
        self.answer(200, found)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Api)
(FOLDER / "address").write_text(f"http://127.0.0.1:{server.server_port}")
server.serve_forever()

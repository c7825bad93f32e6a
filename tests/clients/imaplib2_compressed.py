"""imaplib2 (offlineimap), compressed: one message that inflates to far more than a read brings.

Its reader waits for the socket although octets that it has read are not yet inflated."""

import hashlib
import sys

import imaplib2

port, ca, user, password = sys.argv[1:]
client = imaplib2.IMAP4_SSL("localhost", int(port), ca_certs=ca, timeout=10)
client.login(user, password)
assert "COMPRESS=DEFLATE" in client.capability()[1][0].decode()
client.enable_compression()
client.select("INBOX")
octets = client.fetch("1", "(BODY.PEEK[])")[1][0][1]
print(len(octets), hashlib.sha256(octets).hexdigest())
client.logout()

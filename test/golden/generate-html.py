"""Prints html-unescape.json: references of every kind and what Python's html.unescape makes of them. Development only."""
import html
import html.entities
import json

refs=[f"&#{n};" for n in list(range(0,0x300))+[0xd7ff,0xd800,0xdfff,0xe000,0xfdcf,0xfdd0,0xfdef,0xfdf0,0xfffd,0xfffe,0xffff,0x10000,0x1fffe,0x1ffff,0x10fffe,0x10ffff,0x110000,2**31,10**30]]
refs+=[f"&#x{n:x}" for n in list(range(0,0x120))+[0xd800,0xfffe,0x1f600,0x10ffff,0x110000]]
refs+=[f"&#X{n:X};g" for n in (0x41,0x80,0xb,0x7f,0x9f,0x85)]
refs+=[f"&{k} x" for k in list(html.entities.html5)]
refs+=[f"&{k}y" for k in list(html.entities.html5) if not k.endswith(';')]
refs+=["&","&&amp;","&amp;amp;","&lt;b&gt","&notit;","&notin;","&ampx","&AMP","&aMP;","&#","&#x","&#;","&#x;","&#xg;","&nosuch;","&copycat;","a&b;c","&acE;","&Aacuteé","&hellipx","&timesbar;","&#128512;&#x1F600;","&amp","&nbsp;&nbsp"]
print(json.dumps([[r, html.unescape(r)] for r in refs]))

"""Turns text files, one after the other, into a C function that returns them: SOURCE… TARGET FUNCTION HEADER."""
import sys

*sources, target, function, header = sys.argv[1:]
data = b"".join(open(source, "rb").read() for source in sources) + b"\0"
rows = [", ".join(str(byte) for byte in data[i:i + 24]) for i in range(0, len(data), 24)]
with open(target, "w") as out:
    out.write('#include "%s"\n\nstatic const char text[] = {\n' % header)
    out.write(",\n".join(rows))
    out.write("\n};\n\nconst char *%s(void)\n{\n        return text;\n}\n" % function)

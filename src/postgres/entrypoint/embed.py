"""Turns a text file into a C function that returns it."""
import sys

source, target, function, header = sys.argv[1:]
data = open(source, "rb").read() + b"\0"
rows = [", ".join(str(byte) for byte in data[i:i + 24]) for i in range(0, len(data), 24)]
with open(target, "w") as out:
    out.write('#include "%s"\n\nstatic const char text[] = {\n' % header)
    out.write(",\n".join(rows))
    out.write("\n};\n\nconst char *%s(void)\n{\n        return text;\n}\n" % function)

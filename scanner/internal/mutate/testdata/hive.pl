# Reads keys of a hive with hivex. Arguments: the hive, and paths of keys. Prints
# a line for each: "absent", "error: ...", or the names of the subkeys and the
# values with type and data, all in hexadecimal and sorted.
use strict;
use warnings;
use Encode;
use Win::Hivex;

my ($file, @paths) = @ARGV;
# hivex refuses a hive for damage anywhere in it, unless it is asked not to.
my $h = eval { Win::Hivex->open($file) } || eval { Win::Hivex->open($file, unsafe => 1) };
if (!$h) {
    print "error: hivex: $!\n" for @paths;
    exit;
}
for my $path (@paths) {
    my $line = eval {
        my $node = $h->root();
        for my $name (split /\\/, $path) {
            # A key that is not there is no error for hivex, and damage dies.
            $node = $h->node_get_child($node, $name);
            return "absent" if !$node;
        }
        my @keys = sort map { hex_of($h->node_name($_)) } $h->node_children($node);
        my @values = sort map {
            my ($type, $data) = $h->value_value($_);
            join(":", hex_of($h->value_key($_)), $type, unpack("H*", $data))
        } $h->node_values($node);
        "keys " . join(" ", @keys) . " values " . join(" ", @values);
    };
    $line = "error: hivex: " . ($@ || $!) if !defined $line;
    $line =~ s/\s+$//;
    $line =~ s/\n/ /g;
    print "$line\n";
}

sub hex_of {
    my ($name) = @_;
    return unpack("H*", utf8::is_utf8($name) ? Encode::encode("UTF-8", $name) : $name);
}

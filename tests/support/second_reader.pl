# Reads mails with Perl's MIME-tools: another program's view of what we read and write.
# In: u32 length and that many bytes, again and again; out: for each a line of JSON, its leaves in order.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use MIME::Parser;

binmode STDIN;
$| = 1;
my $json = JSON::PP->new->canonical->ascii;

sub leaves {
    my ($entity, $found) = @_;
    if (my @parts = $entity->parts) {
        leaves($_, $found) for @parts;
        return;
    }
    my $body = $entity->bodyhandle ? $entity->bodyhandle->as_string : '';
    my $type = lc $entity->effective_type;
    push @$found, {
        type => $type,
        charset => $entity->head->mime_attr('content-type.charset') // '',
        disposition => lc($entity->head->mime_attr('content-disposition') // ''),
        name => $entity->head->recommended_filename // '',
        bytes => length $body,
        sha256 => sha256_hex($body),
        body => $type =~ m{^text/} && length $body < 300_000 ? encode_base64($body, '') : '',
    };
}

while (read(STDIN, my $length, 4) == 4) {
    my $size = unpack 'N', $length;
    my $data = '';
    while (length $data < $size) {
        read(STDIN, $data, $size - length $data, length $data) or exit 1;
    }
    my $parser = MIME::Parser->new;
    $parser->output_to_core(1);
    $parser->tmp_to_core(1);
    $parser->decode_bodies(1);
    $parser->extract_nested_messages(1);
    my @found;
    my $entity = eval { $parser->parse_data(\$data) };
    leaves($entity, \@found) if $entity;
    print $json->encode({ leaves => \@found, subject => $entity ? scalar($entity->head->get('subject', 0)) // '' : '' }), "\n";
}

#!/usr/bin/perl
# Mail::IMAPClient: log in, look, file, mark, wait, tidy up. Arguments: host port tls ca user password.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use Mail::IMAPClient;

my $work = ($ENV{MAILBOX_PREFIX} // '') . 'Work';
my ($host, $port, $tls, $ca, $user, $password) = @ARGV;
my @ssl = (SSL_ca_file => $ca, SSL_verifycn_name => 'localhost', SSL_verifycn_scheme => 'imap');
my %how = $tls eq 'implicit' ? (Ssl => \@ssl) : $tls eq 'starttls' ? (Starttls => \@ssl) : ();
my $imap = Mail::IMAPClient->new(Server => $host, Port => $port, User => $user, Password => $password,
    Uid => 1, Timeout => 20, %how) or die "cannot connect: $@";
$imap->select('INBOX') or die $imap->LastError;
my @all = $imap->search('ALL');
print "search @all\n";
for my $uid (@all) {
    my $text = $imap->message_string($uid) // die $imap->LastError;
    print "message $uid ", length $text, ' ', sha256_hex($text), ' ', join(',', sort grep { !/Recent/ } $imap->flags($uid)), "\n";
    print 'structure ', ref $imap->get_bodystructure($uid), "\n";
    print 'envelope ', ref $imap->get_envelope($uid), "\n";
}
$imap->create($work) or die $imap->LastError;
print 'folders ', join(' ', sort $imap->folders), "\n";
$imap->append($work, "From: ada\@example.com\r\nSubject: x\r\n\r\nA letter.\r\n.\r\n") or die $imap->LastError;
$imap->copy($work, $all[0], $all[1]) or die $imap->LastError;
$imap->move($work, $all[2]) or die $imap->LastError;
$imap->expunge;
$imap->see($all[0]) or die $imap->LastError;
my $idle = $imap->idle or die $imap->LastError;
$imap->done($idle) or die $imap->LastError;
print 'count ', $imap->message_count($work), "\n";
$imap->delete($work) or die $imap->LastError;
$imap->logout or die $imap->LastError;
print "bye\n";
